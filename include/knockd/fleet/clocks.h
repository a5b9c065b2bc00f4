// SPDX-License-Identifier: MIT
// Both clocks at one moment: what ends here does so by the one that nobody sets, what is said to
// others is by the other.
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

  // Never beyond what a clock that was never set, or a hostile message, can say.
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
