// SPDX-License-Identifier: MIT
// How long to wait before retrying something that keeps failing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "knockd/base/clock.h"

namespace knockd {

// Each pause is twice as long as the one before, up to the longest. Pure.
class GrowingPause {
 public:
  constexpr GrowingPause(Duration first, Duration longest) : first_(first), longest_(longest) {}

  // The pause after one more failure.
  Duration next() {
    ++failures_;
    return pause_ = std::clamp(pause_ * 2, first_, longest_);
  }
  // To be called once it has worked for long enough.
  void reset() {
    failures_ = 0;
    pause_ = Duration::zero();
  }

  // Since construction or the last reset.
  uint64_t failures() const { return failures_; }
  // Whether to log the last failure: the 1st, 2nd, 4th, 8th and so on, so that a failure that
  // repeats for a day costs a dozen lines.
  bool is_worth_a_line() const { return (failures_ & (failures_ - 1)) == 0; }

 private:
  Duration first_;
  Duration longest_;
  Duration pause_{};
  uint64_t failures_ = 0;
};

}  // namespace knockd
