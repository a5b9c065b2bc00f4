// SPDX-License-Identifier: MIT
// Gives up what following a fleet does not need.
#pragma once

#include "knockd/base/result.h"

namespace knockd {

// From here on the process has no capability and no way to get one, can start nothing, trace
// nothing and wait for no connection; it can write no file but one that it appends to (the log). It
// can still connect to others and read files: name servers and renewed certificates. Reports what
// could not be given up; the process must not go on then. A build without KNOCKD_SANDBOX, and a
// kernel without seccomp, leave out the system calls.
Status enter_fleet_sandbox();

}  // namespace knockd
