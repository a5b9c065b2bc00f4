// SPDX-License-Identifier: MIT
// A point in time that can be recorded and used after a crash or a reboot: by the boot clock, valid
// while the machine runs, and by the wall clock.
#pragma once

#include <string>

#include "knockd/base/clock.h"

namespace knockd {

struct Moment {
  Instant boot;  // valid only together with the boot id
  WallTime wall{};
  // Whether, by the kernel, a time service (NTP) keeps the wall clock right. Only then are two
  // readings comparable across a reboot: otherwise the clock may be years off, and jump.
  bool wall_is_kept = false;

  // Reads the clocks.
  static Moment now();
};

// The random id of this boot (/proc/sys/kernel/random/boot_id); empty if it cannot be read.
std::string read_boot_id();

}  // namespace knockd
