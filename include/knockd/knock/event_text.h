// SPDX-License-Identifier: MIT
// The log lines of events and explanations, the same live and in replay. Log readers match them, so
// they are exact: knockd(8), LOG.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "knockd/base/clock.h"
#include "knockd/knock/event.h"
#include "knockd/knock/opening.h"

namespace knockd {

// "192.0.2.1, 2001:db8::1"; only the first few of a long list.
std::string addresses_text(const std::vector<IpAddress>& addresses);

// "192.0.2.7", or "192.0.2.7 (host.example)" with a name, which must be printable.
std::string source_text(const IpAddress& source, std::string_view name);

// The line of an event other than kOpen, which begins an opening. `source` is from source_text().
std::string event_line(const KnockEvent& event, std::string_view door, std::string_view source);

// --- The life of an opening. A text follows "SOURCE: DOOR: ".

std::string stage_text(unsigned stage);
std::string too_many_wrong_codes_line(std::string_view door);
std::string code_line(std::string_view source, std::string_view door, std::string_view text);
std::string knock_of_text(std::string_view user);
std::string open_sesame_text();
std::string already_open_text(bool extended);
std::string command_timeout_text();
std::string shutting_down_text();
// "ssh is open to 192.0.2.7 for 3600 s", the answer to a request.
std::string is_open_text(const Terms& terms, const IpAddress& source, Duration left);
std::string opened_by_hand_text(uint32_t user);
std::string closed_by_hand_text(uint32_t user);
std::string opened_by_gateway_text(std::string_view gateway, std::string_view user);
std::string closed_by_gateway_text(std::string_view gateway);
std::string start_ended_text();
std::string still_running_text();

// Why a knock was refused.
std::string too_many_open_text(size_t most);
std::string too_many_waiting_text(size_t most);
std::string too_many_of_source_text();
std::string refused_line(std::string_view door, uint64_t knocks, std::string_view why);

std::string running_line(std::string_view door, std::string_view command);
std::string would_run_line(std::string_view door, std::string_view command);
// About the ports that knockd itself keeps shut.
std::string not_shut_text(const Knock& port, std::string_view reason);
std::string no_longer_shut_text(const Knock& port);
std::string left_shut_text(const Knock& port);

// A knocker was let in to the ports of the door's admission. `would`: in a replay.
std::string opened_line(const OpenDoor& door, Duration open_for, bool would);
std::string closed_line(const OpenDoor& door, bool would);
std::string not_opened_line(const OpenDoor& door, std::string_view reason);
std::string not_closed_line(const OpenDoor& door, std::string_view reason);
std::string could_not_run_line(std::string_view door, std::string_view reason, bool again);
std::string taken_up_line(size_t doors);
std::string stuck_line(std::string_view door, size_t running, Duration waited);

// Log_Rate dropped this many lines caused by strangers.
std::string left_out_line(uint64_t lines, uint32_t rate);

// A one-time sequence opened a door although this many before it were in force.
std::string skipped_sequences_line(std::string_view door, size_t count);
// A door has used up its one-time sequences.
std::string no_more_sequences_line(std::string_view door, std::string_view file);

// The outcome of a packet, and why. `door` is the name of the explanation's door, if it has one.
std::string explanation_line(const Explanation& explanation, std::string_view door);

}  // namespace knockd
