// SPDX-License-Identifier: MIT
// Drops privileges that following a fleet does not need.
#pragma once

#include "knockd/base/result.h"

namespace knockd {

// Afterwards the process has no capabilities and no way to gain any. It can start no program, trace
// nothing, accept no connections, and write only to files by appending (the log). It can still
// connect to others and read files: name servers and renewed certificates. On a fault, which names
// what could not be dropped, the process must end. A build without KNOCKD_SANDBOX, and a kernel
// without seccomp, leave out the system calls.
Status enter_fleet_sandbox();

}  // namespace knockd
