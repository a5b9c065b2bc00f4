// SPDX-License-Identifier: MIT
// What holds where a configuration says nothing, as knockd.conf(5) has it; apart from paths, which
// stand in Config.
#pragma once

#include <cstdint>

#include "knockd/base/clock.h"

namespace knockd {

inline constexpr Duration kDefaultSeqTimeout = std::chrono::seconds(25);
inline constexpr Duration kDefaultOpenFor = std::chrono::seconds(10);  // Cmd_Timeout
inline constexpr uint32_t kDefaultMaxOpen = 4096;                      // openings of a door
inline constexpr uint32_t kDefaultScanLimit = 4;                       // ports
inline constexpr uint32_t kDefaultMaxSources = 65536;
inline constexpr uint32_t kDefaultLogRate = 20;  // lines a second

}  // namespace knockd
