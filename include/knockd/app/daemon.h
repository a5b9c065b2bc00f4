// SPDX-License-Identifier: MIT
// Puts the parts together: from the command line to a keeper that runs, in the foreground or not.
#pragma once

#include "knockd/app/command_line.h"

namespace knockd {

// Does what the command line asks for. Returns the exit status.
int run_task(const CommandLine& line);

}  // namespace knockd
