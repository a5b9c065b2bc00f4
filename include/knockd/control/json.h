// SPDX-License-Identifier: MIT
// A small writer of JSON (RFC 8259): what the daemon says to programs. It reads none, but for the
// one form of answer that is meant for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace knockd {

// One value, on one line. The caller opens and closes objects and arrays in pairs, and names each
// member of an object by key(). Bytes that are not UTF-8 become U+FFFD.
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
  // As seconds_text() has it.
  JsonWriter& seconds(std::chrono::nanoseconds value);

  std::string take();

 private:
  JsonWriter& begin(char bracket);
  JsonWriter& end(char bracket);
  void separate();

  std::string json_;
  bool is_first_ = true;  // of its object or array, or right behind its key
};

// "12.345": seconds, with three decimals; no time is below zero.
std::string seconds_text(std::chrono::nanoseconds time);

// What a person is told, and the exit status that goes with it.
struct Answer {
  int status = 0;  // 0 to 9
  std::string text;
};

// {"status":0,"text":"..."}
std::string to_json(const Answer& answer);
// The same back; nothing for any other form.
std::optional<Answer> parse_answer(std::string_view json);

}  // namespace knockd
