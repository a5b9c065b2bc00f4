// SPDX-License-Identifier: MIT
// Shuts the ports of doors with Open before a daemon runs, or opens them to all again. Also finds
// for -t the interfaces where they would be open.
#pragma once

#include <string>
#include <vector>

#include "knockd/app/command_line.h"
#include "knockd/config/config.h"

namespace knockd {

// knockd --shut and --unshut. Returns the exit status.
int shut_ports(const CommandLine& line);
int unshut_ports(const CommandLine& line);

// The interfaces, each with its first address ("eth1 (192.0.2.1)"), on which the daemon would not
// listen although other networks may reach them: those with an address beyond loopback and
// link-local.
std::vector<std::string> other_entrances(const CommandLine& line, const Config& config);

}  // namespace knockd
