// SPDX-License-Identifier: MIT
// Connects the parts: from the command line to a running keeper, in the foreground or background.
#pragma once

#include "knockd/app/command_line.h"

namespace knockd {

// Runs the task of the command line. Returns the exit status.
int run_task(const CommandLine& line);

}  // namespace knockd
