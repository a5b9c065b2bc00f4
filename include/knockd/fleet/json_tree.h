// SPDX-License-Identifier: MIT
// Reads JSON (RFC 8259) with libcjson, after checks of length and depth, and finds members by their
// exact names. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct cJSON;

namespace knockd {

// A value in a tree, or none if it is missing. Must not outlive its tree.
class JsonValue {
 public:
  explicit JsonValue(const cJSON* value = nullptr) : value_(value) {}

  explicit operator bool() const { return value_ != nullptr; }
  // A member of an object.
  JsonValue operator[](const char* name) const;
  std::optional<std::string> text() const;
  // Finite.
  std::optional<double> number() const;
  // Whole, from 0 to 2^53.
  std::optional<uint64_t> whole() const;
  bool is_true() const;
  bool is_array() const;
  bool is_object() const;
  // The first item of an array, and the next one after an item.
  JsonValue first() const;
  JsonValue next() const;

 private:
  const cJSON* value_;
};

class JsonTree {
 public:
  // One value and nothing after it. Nothing for text that is longer or nested deeper.
  static std::optional<JsonTree> parse(std::string_view text, size_t longest, int deepest);

  JsonValue root() const { return JsonValue(root_.get()); }

 private:
  struct Deleter {
    void operator()(cJSON* tree) const;
  };
  explicit JsonTree(cJSON* root) : root_(root) {}

  std::unique_ptr<cJSON, Deleter> root_;
};

}  // namespace knockd
