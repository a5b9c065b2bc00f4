// SPDX-License-Identifier: MIT
// The lines in which events and explanations are told, the same live and in replay. Log readers
// match them, so they are exact: knockd(8), LOG.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knockd/knock/event.h"

namespace knockd {

// "192.0.2.7", or "192.0.2.7 (host.example)" with a name, which is already clean.
std::string source_text(const IpAddress& source, std::string_view name);

// The one or two lines of an event. `source` as source_text gives it.
std::vector<std::string> event_lines(const KnockEvent& event, std::string_view door,
                                     std::string_view source);

// A door has used up its one-time sequences.
std::string no_more_sequences_line(std::string_view door, std::string_view file);

// What became of a packet, and why. `door` is the name of the explanation's door, if it has one.
std::string explanation_line(const Explanation& explanation, std::string_view door);

}  // namespace knockd
