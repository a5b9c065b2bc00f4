// SPDX-License-Identifier: MIT
// What a listener is born with. It is copied by the fork that makes the listener, never sent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "knockd/knock/door.h"

namespace knockd {

struct ListenerSettings {
  std::string interface;              // "any" for all
  std::vector<DoorRule> doors;        // by door number
  std::vector<uint32_t> generations;  // of the doors' sequences, by door number
  std::vector<IpAddress> own_addresses;
  uint32_t scan_limit = 4;  // ports; 0: no scan guard
  uint32_t max_sources = 65536;
  uint32_t log_rate = 20;  // events of strangers a second; 0: no limit
  bool only_v4 = false;
  bool explain = false;  // tell what becomes of each packet
};

}  // namespace knockd
