// SPDX-License-Identifier: MIT
#include "knockd/base/text.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace knockd {
namespace {

// The length in bytes of the UTF-8 character at the start of `text`; 0 if there is none. The table
// of well-formed sequences is from RFC 3629, section 4.
size_t utf8_length(std::string_view text) {
  struct Range {
    uint8_t first, last;          // of the first byte
    uint8_t second, second_last;  // of the second
    size_t length;
  };
  constexpr Range kRanges[] = {
      {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
      {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
      {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(text[at]); };
  for (const Range& range : kRanges) {
    if (byte(0) < range.first || byte(0) > range.last) continue;
    if (text.size() < range.length) return 0;
    if (range.length > 1 && (byte(1) < range.second || byte(1) > range.second_last)) return 0;
    for (size_t at = 2; at < range.length; ++at) {
      if ((byte(at) & 0xc0) != 0x80) return 0;
    }
    return range.length;
  }
  return 0;
}

constexpr std::string_view kBlanks = " \t\r\n\v\f";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
  std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t start = 0;
  for (;;) {
    const size_t end = text.find(separator, start);
    parts.push_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (const std::string_view part : split(text, ' ')) {
    if (!trim(part).empty()) words.push_back(trim(part));
  }
  return words;
}

bool is_one_of(std::string_view word, const char* words) {
  for (std::string_view rest = words;;) {
    const size_t end = rest.find(' ');
    if (rest.substr(0, end) == word) return true;
    if (end == rest.npos) return false;
    rest.remove_prefix(end + 1);
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) {
    if (&part != &parts.front()) text += between;
    text += part;
  }
  return text;
}

std::string counted(uint64_t count, const char* noun) {
  return std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s");
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::optional<uint64_t> parse_number(std::string_view text, uint64_t most) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    if (digit > most || value > (most - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

std::string clean_utf8(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    clean += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return clean;
}

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || c == '\\') {
      result += format("\\x%02x", byte);
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace knockd
