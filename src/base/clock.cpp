// SPDX-License-Identifier: MIT
#include "knockd/base/clock.h"

#include <sys/timex.h>
#include <time.h>

namespace knockd {
namespace {

std::chrono::nanoseconds read(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

BootClock::time_point BootClock::now() { return time_point(read(CLOCK_BOOTTIME)); }

WallTime wall_now() { return read(CLOCK_REALTIME); }

bool is_wall_clock_in_sync() {
  timex clock{};
  return ::adjtimex(&clock) != -1 && (clock.status & STA_UNSYNC) == 0;
}

}  // namespace knockd
