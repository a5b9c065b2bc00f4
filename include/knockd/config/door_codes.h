// SPDX-License-Identifier: MIT
// The codes that open a door at a time, for the trackers, which have no secrets.
#pragma once

#include <vector>

#include "knockd/code/code_ports.h"
#include "knockd/config/config.h"

namespace knockd {

// The codes of all users of the door in this step, unordered: for computed places one for IPv4 and
// one for IPv6. None if no place of the door changes with time.
std::vector<Code> codes_of(const Door& door, Step step);

}  // namespace knockd
