// SPDX-License-Identifier: MIT
// Limits events that strangers can cause to a number per second, and counts those it refuses.
#pragma once

#include <cstdint>
#include <limits>

#include "knockd/base/clock.h"

namespace knockd {

// Allows `limit` events in each second; a second begins with the first allowed event. 0: no limit.
// Pure.
class RateLimit {
 public:
  explicit RateLimit(uint32_t limit) : limit_(limit) {}

  bool allow(Instant now) {
    if (limit_ == 0) return true;
    if (!begun_ || now - begin_ >= std::chrono::seconds(1)) {
      begun_ = true;
      begin_ = now;
      allowed_ = 0;
    }
    if (allowed_ < limit_) {
      ++allowed_;
      return true;
    }
    ++refused_;
    return false;
  }

  // Counts events that were refused elsewhere.
  void add_refused(uint64_t count) {
    constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
    refused_ = count > kMost - refused_ ? kMost : refused_ + count;
  }
  uint64_t refused() const { return refused_; }
  // Returns the count and resets it.
  uint64_t take_refused() {
    const uint64_t count = refused_;
    refused_ = 0;
    return count;
  }
  // The end of the second in which refusals are counted.
  Instant window_end() const { return begin_ + std::chrono::seconds(1); }

 private:
  uint32_t limit_;
  uint32_t allowed_ = 0;
  uint64_t refused_ = 0;
  Instant begin_{};
  bool begun_ = false;
};

}  // namespace knockd
