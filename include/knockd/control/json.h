// SPDX-License-Identifier: MIT
// A small JSON writer (RFC 8259), for the daemon's output to programs. It reads only one form: an
// answer for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knockd {

// Writes one value on one line. The caller must open and close objects and arrays in pairs, and
// name each member of an object with key(). Bytes that are not UTF-8 become U+FFFD.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_array() { return begin('['); }
  JsonWriter& end_array() { return end(']'); }
  JsonWriter& key(const char* name);

  JsonWriter& text(std::string_view value);
  JsonWriter& number(uint64_t value);
  JsonWriter& yes_no(bool value);
  JsonWriter& null();
  // In the form of seconds_text().
  JsonWriter& seconds(std::chrono::nanoseconds value);

  std::string take();

 private:
  JsonWriter& begin(char bracket);
  JsonWriter& end(char bracket);
  void separate();

  std::string json_;
  bool is_first_ = true;  // in its object or array, or directly after its key
};

// "12.345": seconds, with three decimals; not negative.
std::string seconds_text(std::chrono::nanoseconds time);

// A message for a person, and the exit status.
struct Answer {
  int status = 0;  // 0 to 9
  std::string text;
};

// {"status":0,"text":"..."}
std::string to_json(const Answer& answer);
// The reverse; nothing for any other form.
std::optional<Answer> parse_answer(std::string_view json);

}  // namespace knockd
