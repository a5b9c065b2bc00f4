// SPDX-License-Identifier: MIT
// Runs the doors of a configuration over a capture file: what would have happened, when, and with
// explanations why. Runs and writes nothing.
#pragma once

#include <string>

#include "knockd/config/config.h"

namespace knockd {

struct ReplayOptions {
  std::string capture_file;  // "-": standard input
  bool explain = false;      // tell what becomes of each packet
  bool only_v4 = false;
};

// Prints to standard output, with the capture's time stamps as the clock. Returns the exit status:
// 1 if the capture can't be read at all.
int replay(const Config& config, const ReplayOptions& options);

}  // namespace knockd
