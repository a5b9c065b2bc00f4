// SPDX-License-Identifier: MIT
// Parses the values of directives: pure functions, shared with the command line. A fault has its
// offset in the text, quotes what was found and says what was expected.
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

// Some editors put it before a UTF-8 text; not part of the text.
inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Whether a text begins with the byte-order mark of UTF-16.
bool is_utf16(std::string_view text);

// `text` up to a comment (a '#' with a blank before it), without blanks at both ends.
std::string_view without_comment(std::string_view text);

// The position of the ']' that ends a section's header: the first one followed only by blanks or a
// comment; npos if there is none.
size_t find_closing_bracket(std::string_view text);

// `text` in quotes on one line, for messages; a long one is cut.
std::string in_quotes(std::string_view text);

// The first byte below 0x20 or equal to 0x7f; npos if there is none.
size_t find_control_byte(std::string_view text);

// The longest time of a directive: 24 days, which fit in 32 bits of milliseconds.
inline constexpr Duration kLongestTime = std::chrono::seconds(2147483);

// A whole number of seconds or of the unit that follows: "90", "90s", "10m", "1h", "2d". Nothing
// for other text and for more than `most`.
std::optional<Duration> parse_time(std::string_view text, Duration most);

// "syn,!fin": flags that must be set and, with '!', flags that must not. "syn" without ack or !ack
// means "syn,!ack".
std::variant<FlagMask, TextFault> parse_tcp_flags(std::string_view text);

struct InterfaceList {
  std::vector<std::string> names;  // without repeats; "any" only alone
  std::vector<TextFault> remarks;  // what was left out, and why
};

// "eth0, ppp0" or "any". Accepts names that the kernel accepts (IFNAMSIZ); does not check whether
// the interface exists.
std::variant<InterfaceList, TextFault> parse_interface_list(std::string_view text);

}  // namespace knockd
