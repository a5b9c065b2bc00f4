// SPDX-License-Identifier: MIT
// The ledger's actions: for the broker (Publish), for the local daemon (Fleet...), for the log.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "knockd/base/clock.h"
#include "knockd/base/log.h"
#include "knockd/fleet/message.h"
#include "knockd/fleet/topic.h"

namespace knockd {

// A retained message; an empty one deletes the present one.
struct Publish {
  Topic topic{};
  std::string payload{};
  uint32_t expiry = 0;  // seconds; 0 with an empty payload
  uint64_t code = 0;    // for code_published(); 0: no call
};
struct FleetOpen {
  DoorAddress place{};
  Instant end{};
  std::string gateway{};
  std::string user{};
};
struct FleetClose {
  DoorAddress place{};
  std::string gateway{};
};
struct FleetUsed {
  std::string secret{};
  CodeMessage code{};
  std::string gateway{};
};
// Whether the daemon waits before a code opens.
struct FleetShare {
  bool share = false;
};
struct FleetShared {
  uint64_t id = 0;
};
struct Say {
  LogLevel level = LogLevel::kInfo;
  std::string text{};
};

using FleetAction =
    std::variant<Publish, FleetOpen, FleetClose, FleetUsed, FleetShare, FleetShared, Say>;

}  // namespace knockd
