// SPDX-License-Identifier: MIT
#include "knockd/base/clock.h"

#include <sys/timex.h>
#include <time.h>

namespace knockd {

BootClock::time_point BootClock::now() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

bool is_wall_clock_in_sync() {
  timex clock{};
  return ::adjtimex(&clock) != -1 && (clock.status & STA_UNSYNC) == 0;
}

}  // namespace knockd
