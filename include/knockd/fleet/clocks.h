// SPDX-License-Identifier: MIT
// Both clocks at one moment. Local deadlines use the boot clock, messages to others the wall clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "knockd/base/clock.h"
#include "knockd/config/values.h"

namespace knockd {

struct Clocks {
  Instant boot{};
  WallTime wall{};

  // Clamped, against a wall clock that was never set and hostile messages.
  Instant end_of(WallTime until) const {
    return boot + std::clamp<Duration>(until - wall, Duration::zero(), kLongestTime);
  }
  // Seconds until then, rounded up; at least 1.
  uint32_t expiry_of(WallTime until) const {
    using std::chrono::seconds;
    const auto left = std::chrono::ceil<seconds>(std::min<Duration>(until - wall, kLongestTime));
    return static_cast<uint32_t>(std::max<int64_t>(left.count(), 1));
  }
};

}  // namespace knockd
