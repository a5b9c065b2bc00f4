// SPDX-License-Identifier: MIT
// Shuts the ports of doors with Open before any daemon runs, or opens them to all again.
#pragma once

#include "knockd/app/command_line.h"

namespace knockd {

// knockd --shut and --unshut: the status to exit with.
int shut_ports(const CommandLine& line);
int unshut_ports(const CommandLine& line);

}  // namespace knockd
