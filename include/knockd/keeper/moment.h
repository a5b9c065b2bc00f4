// SPDX-License-Identifier: MIT
// A point in time as it must be written down to mean something after a crash or a reboot: by the
// boot clock, which holds as long as the machine runs, and by the wall clock beside it.
#pragma once

#include <string>

#include "knockd/base/clock.h"

namespace knockd {

struct Moment {
  Instant boot;  // means something only together with the boot's id
  WallTime wall{};
  // Whether the kernel says that someone (NTP) keeps the wall clock right. Only then can two
  // readings be compared across a reboot: a clock that is not kept may be years off, and jump.
  bool wall_is_kept = false;

  // Reads the clocks.
  static Moment now();
};

// The id that the kernel drew at this boot (/proc/sys/kernel/random/boot_id); empty if it cannot be
// read.
std::string read_boot_id();

}  // namespace knockd
