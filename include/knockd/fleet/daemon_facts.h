// SPDX-License-Identifier: MIT
// The local daemon's reports of its doors, as values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/fleet/message.h"
#include "knockd/fleet/topic.h"

namespace knockd {

struct LocalOpening {
  uint64_t id = 0;  // the daemon's; restarts with the daemon
  DoorAddress place{};
  WallTime until{};
  std::string user{};
  bool by_fleet = false;  // opened or prolonged on our request
};

struct DoorFacts {
  Duration open_for{};  // its Cmd_Timeout
  bool closes = false;  // it has something to undo
};

struct DaemonStatus {
  std::map<std::string, DoorFacts> doors{};
  std::vector<LocalOpening> openings{};
};

enum class ClosedBy : uint8_t { kTime, kHand, kFleet, kShutdown };

struct UsedCode {
  uint64_t id = 0;  // of this use, for which the daemon waits for fleet-shared
  std::string secret{};
  CodeMessage code{};
};

}  // namespace knockd
