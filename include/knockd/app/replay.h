// SPDX-License-Identifier: MIT
// Replays a capture file against the doors of a configuration: prints what would have happened,
// when, and on request why. Runs no commands and writes no files.
#pragma once

#include <string>

#include "knockd/config/config.h"

namespace knockd {

struct ReplayOptions {
  std::string capture_file;  // "-": standard input
  bool explain = false;      // explain each packet
  bool only_v4 = false;
};

// Prints to standard output, with the capture's time stamps as the clock. Returns the exit status:
// 1 if the capture can't be read at all.
int replay(const Config& config, const ReplayOptions& options);

}  // namespace knockd
