// SPDX-License-Identifier: MIT
// Small pure helpers for text: trimming, splitting, numbers, and printf into a string.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace knockd {

// printf into a string. `format` must be a literal, never input.
__attribute__((format(printf, 1, 2))) std::string format(const char* format, ...);

// `text` without blanks (space, tab, CR and the other C blanks) at both ends.
std::string_view trim(std::string_view text);

// The parts of `text` between separators, unchanged; one empty part for an empty text.
std::vector<std::string_view> split(std::string_view text, char separator);

// The parts between blanks, without empty ones.
std::vector<std::string_view> split_words(std::string_view text);

// `words` are separated by one blank.
bool is_one_of(std::string_view word, const char* words);

// The parts, with `between` between them.
std::string join(const std::vector<std::string>& parts, std::string_view between);

// "1 door", "2 doors"; for nouns with a regular plural.
std::string counted(uint64_t count, const char* noun);

// ASCII letters only, whatever the locale.
bool equals_ignoring_case(std::string_view a, std::string_view b);

// A number of decimal digits only (no sign, no blanks), at most `most`; nothing otherwise.
std::optional<uint64_t> parse_number(std::string_view text, uint64_t most);

// `text` with each byte outside UTF-8 characters replaced by U+FFFD.
std::string clean_utf8(std::string_view text);

// `text` with control bytes, backslashes and bytes above 0x7e as \xHH: one line, safe for a log
// and a terminal.
std::string printable(std::string_view text);

}  // namespace knockd
