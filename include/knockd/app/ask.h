// SPDX-License-Identifier: MIT
// knockd as the client of a running daemon: --status, --close, --open, --events.
#pragma once

#include "knockd/app/command_line.h"

namespace knockd {

// Asks, and prints the answer. Returns the exit status: what the daemon says, or 3 if there is
// none.
int ask(const CommandLine& line);

}  // namespace knockd
