// SPDX-License-Identifier: MIT
// A knock sequence, and the text form that configurations, one-time lists and clients share:
// "7000,8000:udp,9000".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knockd/net/packet.h"

namespace knockd {

struct Knock {
  uint16_t port = 0;  // host order, never 0
  Protocol protocol = Protocol::kTcp;
  friend auto operator<=>(const Knock&, const Knock&) = default;
};

using Sequence = std::vector<Knock>;

inline constexpr size_t kMaxKnocks = 32;

// An error in a text: its offset in bytes, and one sentence that quotes the text (made printable)
// and says what was expected.
struct TextFault {
  size_t offset = 0;
  std::string message;
};

// Reads "port[:tcp|udp]" with blanks around its parts; `unsaid` is the protocol if none is given.
std::variant<Knock, TextFault> parse_knock(std::string_view text, Protocol unsaid = Protocol::kTcp);

// Reads a comma-separated list of 1 to kMaxKnocks knocks.
std::variant<Sequence, TextFault> parse_sequence(std::string_view text,
                                                 Protocol unsaid = Protocol::kTcp);

// The errors for an empty list and for one that is too long.
std::string empty_sequence();
std::string too_many_knocks();

// "7000,8000:udp,9000": as parse_sequence reads it; ":tcp" is left out.
std::string to_string(const Sequence& sequence);

}  // namespace knockd
