// SPDX-License-Identifier: MIT
#include "knockd/config/excerpt.h"

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/base/utf8.h"

namespace knockd {
namespace {

constexpr std::string_view kIndent = "    ";
constexpr size_t kMost = 110;       // bytes of a line
constexpr size_t kMostBefore = 70;  // of these, before the place
constexpr std::string_view kCut = "...";

// The first character of a text as it is shown; sets its length in the text.
std::string shown(std::string_view text, size_t& length) {
  const auto character = first_character(text);
  length = character ? character->length : 1;
  if (!character) return format("<%02X>", static_cast<unsigned char>(text.front()));
  const char32_t code = character->code;
  if (code == '\t' || (code >= 0x20 && code < 0x7f)) return std::string(1, text.front());
  return format("<U+%04X>", static_cast<unsigned>(code));
}

bool is_inside_character(std::string_view line, size_t at) {
  return at < line.size() && (static_cast<unsigned char>(line[at]) & 0xc0) == 0x80;
}

}  // namespace

std::string visible(std::string_view text) {
  std::string result;
  for (size_t length = 0; !text.empty(); text.remove_prefix(length)) result += shown(text, length);
  return result;
}

std::vector<std::string> excerpt(std::string_view line, int column) {
  line = line.substr(0, line.find_last_not_of('\r') + 1);
  if (trim(line).empty() || column < 1) return {};
  const size_t at = std::min(static_cast<size_t>(column) - 1, line.size());
  size_t begin = at > kMostBefore && line.size() > kMost ? at - kMostBefore : 0;
  size_t end = std::min(line.size(), begin + kMost);
  while (begin > 0 && is_inside_character(line, begin)) --begin;
  while (is_inside_character(line, end)) ++end;

  const std::string before =
      std::string(begin > 0 ? kCut : "") + visible(line.substr(begin, at - begin));
  std::string source(kIndent);
  source += before + visible(line.substr(at, end - at));
  if (end < line.size()) source += kCut;
  std::string caret(kIndent);
  for (const char c : before) caret += c == '\t' ? '\t' : ' ';
  return {source, caret + '^'};
}

}  // namespace knockd
