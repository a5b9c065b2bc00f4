// SPDX-License-Identifier: MIT
// Shuts the ports of doors with Open before any daemon runs, or opens them to all again; and what
// -t must know of where they would be shut.
#pragma once

#include <string>
#include <vector>

#include "knockd/app/command_line.h"
#include "knockd/config/config.h"

namespace knockd {

// knockd --shut and --unshut: the status to exit with.
int shut_ports(const CommandLine& line);
int unshut_ports(const CommandLine& line);

// The interfaces, each with its first address ("eth1 (192.0.2.1)"), at which the daemon would not
// listen although other networks may reach them: with an address that is neither of loopback nor of
// the link alone.
std::vector<std::string> other_entrances(const CommandLine& line, const Config& config);

}  // namespace knockd
