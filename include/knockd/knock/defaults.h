// SPDX-License-Identifier: MIT
// The defaults of directives, as in knockd.conf(5), except paths, which are in Config.
#pragma once

#include <cstdint>

#include "knockd/base/clock.h"

namespace knockd {

inline constexpr Duration kDefaultSeqTimeout = std::chrono::seconds(25);
inline constexpr Duration kDefaultOpenFor = std::chrono::seconds(10);  // Cmd_Timeout
inline constexpr uint32_t kDefaultMaxOpen = 4096;                      // openings of a door
inline constexpr uint32_t kDefaultLogRate = 20;                        // lines a second

// The limits on strangers, passed together from the configuration to the code that enforces them.
struct Bounds {
  uint32_t max_sources = 65536;         // that a listener remembers
  uint32_t scan_limit = 4;              // distinct ports; 0: no scan guard
  uint32_t log_rate = kDefaultLogRate;  // lines, or events, of strangers a second; 0: no limit

  friend bool operator==(const Bounds&, const Bounds&) = default;
};

}  // namespace knockd
