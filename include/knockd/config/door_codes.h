// SPDX-License-Identifier: MIT
// The codes that open a door at a time, for the trackers, which know no secret.
#pragma once

#include <vector>

#include "knockd/code/code_ports.h"
#include "knockd/config/config.h"

namespace knockd {

// Those of all users of the door in this step, in no order: of computed places one for IPv4 and one
// for IPv6. None if no place of the door changes.
std::vector<Code> codes_of(const Door& door, Step step);

}  // namespace knockd
