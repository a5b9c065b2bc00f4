// SPDX-License-Identifier: MIT
// knockd as the client of a running daemon: --status, --close, --open, --events.
#pragma once

#include "knockd/app/command_line.h"

namespace knockd {

// Sends the request and prints the answer. Returns the exit status: the daemon's, or 3 without a
// daemon.
int ask(const CommandLine& line);

}  // namespace knockd
