// SPDX-License-Identifier: MIT
// Parses single words of the client's command line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/knock/code_places.h"
#include "knockd/knock/sequence.h"

namespace knockd::client {

// "300ms", "0.3s" or "2s". Without a unit, a number with a decimal point is in seconds and a whole
// one in `unit`. At most a day. Nothing for any other text.
std::optional<Duration> parse_duration(std::string_view text, Duration unit);

// The port of a number or of a service name known to the system (getservbyname).
std::optional<uint16_t> parse_port(std::string_view text, Protocol protocol);

// The concatenated knocks of all lists, and which places change with time. `unsaid` is the protocol
// of a knock without one. A port may also be the name of a service, as in 0.8.
std::variant<CodedSequence, TextFault> parse_knock_lists(const std::vector<std::string>& lists,
                                                         Protocol unsaid);

}  // namespace knockd::client
