// SPDX-License-Identifier: MIT
// What the daemon says at its control socket, from its JSON to values, and what it is asked there.
// The keys are those of knockd(8). Pure.
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
// The first: nothing that concerns a fleet.
using DaemonEvent =
    std::variant<std::monostate, LocalOpening, DaemonClosed, UsedCode, DaemonReloaded>;

// The answer to `status json`; nothing for what is none.
std::optional<DaemonStatus> parse_status(std::string_view json);
// A line of `events`.
DaemonEvent parse_event(std::string_view json);

using DaemonRequest = std::variant<FleetOpen, FleetClose, FleetUsed, FleetShared>;
// The line, without its end. Nothing if there is nothing left to ask for, or if a name cannot be
// part of a line.
std::optional<std::string> request_text(const DaemonRequest& request, Instant now);

}  // namespace knockd
