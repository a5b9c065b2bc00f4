// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

namespace knockd {

// A text for use in thousands of objects that is mostly empty; then it costs only a pointer.
class RareText {
 public:
  RareText() = default;
  RareText(const RareText& other) : text_(copy_of(other.get())) {}
  RareText(RareText&&) = default;
  RareText& operator=(const RareText& other) { return *this = other.get(); }
  RareText& operator=(RareText&&) = default;
  RareText& operator=(const std::string& text) {
    text_ = copy_of(text);
    return *this;
  }
  bool empty() const { return text_ == nullptr; }
  void clear() { text_.reset(); }
  std::string get() const { return text_ ? *text_ : std::string(); }

 private:
  using Text = std::unique_ptr<const std::string>;

  static Text copy_of(const std::string& text) {
    return text.empty() ? nullptr : std::make_unique<const std::string>(text);
  }

  Text text_;
};

}  // namespace knockd
