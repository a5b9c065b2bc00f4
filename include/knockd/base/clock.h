// SPDX-License-Identifier: MIT
// The one clock for knocks, doors and timers. The event loop reads it once per turn and passes it
// down as an argument, so that everything timed can be tested without waiting.
#pragma once

#include <chrono>

namespace knockd {

// Time since boot, including suspend (CLOCK_BOOTTIME). It never jumps; the wall clock jumps by
// years on a router without a clock chip. Replay fills it with capture time.
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

// The wall clock, since 1970.
using WallTime = std::chrono::nanoseconds;
WallTime wall_now();
// Whether a time service keeps the wall clock right: chronyd, ntpd, systemd-timesyncd and BusyBox
// clear the kernel's STA_UNSYNC; the kernel sets it again about nine hours after their last update.
bool is_wall_clock_in_sync();

}  // namespace knockd
