// SPDX-License-Identifier: MIT
// A loop on virtual time, for tests with both ends of the control socket in one process.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include "knockd/base/event_loop.h"

namespace knockd {

class TurningLoop {
 protected:
  TurningLoop() {
    now_ = Instant(std::chrono::hours(1));
    loop_.refresh_clock();
  }
  // Turns until the condition holds; the time does not change.
  void turn_until(const char* what, const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!is_so()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "not within 10 s: " << what;
      loop_.poll();
    }
  }
  // Advances the time in one step.
  void pass(Duration time) {
    now_ += time;
    for (int i = 0; i < 3; ++i) loop_.poll();
  }

  static inline Instant now_;
  EventLoop loop_{+[] { return now_; }};
};

}  // namespace knockd
