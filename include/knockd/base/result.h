// SPDX-License-Identifier: MIT
// Errors as values. Exceptions would make up a third of the program: tables, landing pads and the
// unwinder library. A Status or Result is true on success. Constructors cannot fail; a class whose
// construction can has create(), which returns a Result.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace knockd {

// The failed call and the reason, in one line: "fork: Cannot allocate memory".
struct Fault {
  std::string text;
};

// The fault of a call that has just failed; errno is the reason.
Fault fault_of(const char* what);

// Success, or a fault.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Fault fault) : fault_(std::move(fault)) {}

  explicit operator bool() const { return !fault_; }
  // The fault. Ends the program if there is none.
  const Fault& error() const { return *fault_; }

 private:
  std::optional<Fault> fault_;
};

// A value or an error.
template <typename Value, typename Error = Fault>
class [[nodiscard]] Result {
 public:
  Result(Value value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return content_.index() == 0; }

  // The value. Ends the program if there is none.
  Value& operator*() & { return std::get<0>(content_); }
  const Value& operator*() const& { return std::get<0>(content_); }
  Value&& operator*() && { return std::get<0>(std::move(content_)); }
  Value* operator->() { return &**this; }
  const Value* operator->() const { return &**this; }

  // The error. Ends the program if there is none.
  Error& error() { return std::get<1>(content_); }
  const Error& error() const { return std::get<1>(content_); }

 private:
  std::variant<Value, Error> content_;
};

}  // namespace knockd
