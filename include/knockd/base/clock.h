// SPDX-License-Identifier: MIT
// The one clock by which knocks, doors and timers are measured. It is read once per turn of the
// event loop and handed down as an argument, so that everything timed can be tested without
// waiting.
#pragma once

#include <chrono>

namespace knockd {

// Time since boot, time asleep included (CLOCK_BOOTTIME): nobody sets it, unlike the wall clock,
// which jumps by years on a router without a clock chip. Replay fills it with capture time.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
  static time_point now();
};

using Duration = BootClock::duration;
using Instant = BootClock::time_point;

// Since 1970, by the clock that people set.
using WallTime = std::chrono::nanoseconds;
WallTime wall_now();
// Whether somebody keeps that clock right: chronyd, ntpd, systemd-timesyncd and BusyBox clear the
// kernel's STA_UNSYNC, and the kernel sets it again when nothing was heard from them for about nine
// hours.
bool is_wall_clock_in_sync();

}  // namespace knockd
