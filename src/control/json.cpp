// SPDX-License-Identifier: MIT
#include "knockd/control/json.h"

#include <algorithm>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr std::string_view kAnswerBegins = "{\"status\":";
constexpr std::string_view kTextBegins = ",\"text\":\"";

bool is_plain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

void append_string(std::string& json, std::string_view text) {
  json += '"';
  if (std::all_of(text.begin(), text.end(), is_plain)) {  // the usual case, for speed
    json += text;
    json += '"';
    return;
  }
  for (const char c : clean_utf8(text)) {
    if (c == '"' || c == '\\') {
      json += {'\\', c};
    } else if (c == '\n') {
      json += "\\n";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      json += format("\\u%04x", static_cast<unsigned>(c));
    } else {
      json += c;
    }
  }
  json += '"';
}

// The character of an escape as append_string() writes it. `text` begins after the backslash, and
// after the call behind the escape.
std::optional<char> read_escape(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const char c = text.front();
  text.remove_prefix(1);
  if (c == 'n') return '\n';
  if (c == '"' || c == '\\') return c;
  if (c != 'u' || text.size() < 4 || !text.starts_with("00")) return std::nullopt;
  unsigned value = 0;
  for (const char digit : text.substr(2, 2)) {
    const bool is_letter = digit >= 'a' && digit <= 'f';
    if (!is_letter && (digit < '0' || digit > '9')) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(is_letter ? digit - 'a' + 10 : digit - '0');
  }
  text.remove_prefix(4);
  return static_cast<char>(value);
}

}  // namespace

JsonWriter& JsonWriter::begin(char bracket) {
  separate();
  json_ += bracket;
  is_first_ = true;
  return *this;
}

JsonWriter& JsonWriter::end(char bracket) {
  json_ += bracket;
  is_first_ = false;
  return *this;
}

void JsonWriter::separate() {
  if (!is_first_) json_ += ',';
  is_first_ = false;
}

JsonWriter& JsonWriter::key(const char* name) {
  separate();
  append_string(json_, name);
  json_ += ':';
  is_first_ = true;
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view value) {
  separate();
  append_string(json_, value);
  return *this;
}

JsonWriter& JsonWriter::number(uint64_t value) {
  separate();
  json_ += std::to_string(value);
  return *this;
}

JsonWriter& JsonWriter::yes_no(bool value) {
  separate();
  json_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::null() {
  separate();
  json_ += "null";
  return *this;
}

JsonWriter& JsonWriter::seconds(std::chrono::nanoseconds value) {
  separate();
  json_ += seconds_text(value);
  return *this;
}

std::string JsonWriter::take() { return std::move(json_); }

std::string seconds_text(std::chrono::nanoseconds time) {
  const long long ms =
      std::max<long long>(0, std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  // Adds 1000 for leading zeros.
  return std::to_string(ms / 1000) + '.' + std::to_string(1000 + ms % 1000).substr(1);
}

std::string to_json(const Answer& answer) {
  JsonWriter json;
  json.begin_object().key("status").number(static_cast<uint64_t>(answer.status));
  json.key("text").text(answer.text).end_object();
  return json.take();
}

std::optional<Answer> parse_answer(std::string_view json) {
  if (!json.starts_with(kAnswerBegins)) return std::nullopt;
  json.remove_prefix(kAnswerBegins.size());
  if (json.empty() || json.front() < '0' || json.front() > '9') return std::nullopt;
  Answer answer{json.front() - '0', {}};
  json.remove_prefix(1);
  if (!json.starts_with(kTextBegins)) return std::nullopt;
  json.remove_prefix(kTextBegins.size());
  while (!json.empty()) {
    const char c = json.front();
    json.remove_prefix(1);
    if (c == '"') return json == "}" ? std::optional(std::move(answer)) : std::nullopt;
    if (c != '\\') {
      answer.text += c;
      continue;
    }
    const auto character = read_escape(json);
    if (!character) return std::nullopt;
    answer.text += *character;
  }
  return std::nullopt;
}

}  // namespace knockd
