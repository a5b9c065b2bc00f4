// SPDX-License-Identifier: MIT
// Parses the JSON of the daemon's control socket, and writes requests to it. The keys are in
// knockd(8). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "knockd/base/clock.h"
#include "knockd/fleet/daemon_facts.h"
#include "knockd/fleet/fleet_action.h"

namespace knockd {

struct DaemonClosed {
  DoorAddress place{};
  uint64_t id = 0;
  ClosedBy by = ClosedBy::kTime;
};
struct DaemonReloaded {};
// The first: an event that fleets ignore.
using DaemonEvent =
    std::variant<std::monostate, LocalOpening, DaemonClosed, UsedCode, DaemonReloaded>;

// The answer to `status json`; nothing for other text.
std::optional<DaemonStatus> parse_status(std::string_view json);
// A line of `events`.
DaemonEvent parse_event(std::string_view json);

using DaemonRequest = std::variant<FleetOpen, FleetClose, FleetUsed, FleetShared>;
// The line, without its end. Nothing if no time is left, or if a name cannot be part of a line.
std::optional<std::string> request_text(const DaemonRequest& request, Instant now);

}  // namespace knockd
