// SPDX-License-Identifier: MIT
// The values that directives take, from text: pure functions, shared with the command line. A fault
// carries its offset in the text, quotes what was found and says what was expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/knock/sequence.h"
#include "knockd/net/tcp_flags.h"

namespace knockd {

// What some editors put before a UTF-8 text; no part of it.
inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Whether a text begins with the byte-order mark of UTF-16.
bool is_utf16(std::string_view text);

// `text` up to a comment (a '#' with a blank before it), without blanks at both ends.
std::string_view without_comment(std::string_view text);

// Where the ']' of a section's header is: the first that only blanks or a comment follow; npos if
// there is none.
size_t find_closing_bracket(std::string_view text);

// `text` in quotes and on one line; a long one is cut, for messages.
std::string in_quotes(std::string_view text);

// The first byte below 0x20 or equal to 0x7f; npos if there is none.
size_t find_control_byte(std::string_view text);

// The longest that a directive may name: 24 days, what fits in 32 bits of milliseconds.
inline constexpr Duration kLongestTime = std::chrono::seconds(2147483);

// A whole number of seconds, or of the unit behind it: "90", "90s", "10m", "1h", "2d". Nothing for
// other text and for more than `most`.
std::optional<Duration> parse_time(std::string_view text, Duration most);

// "syn,!fin": flags that must be set and, with '!', flags that must not. "syn" without a word on
// ack means "syn,!ack".
std::variant<FlagMask, TextFault> parse_tcp_flags(std::string_view text);

struct InterfaceList {
  std::vector<std::string> names;  // without repeats; "any" stands alone
  std::vector<TextFault> remarks;  // what was left out, and why
};

// "eth0, ppp0" or "any". A name is what the kernel takes for one (IFNAMSIZ); whether the interface
// exists is not asked.
std::variant<InterfaceList, TextFault> parse_interface_list(std::string_view text);

}  // namespace knockd
