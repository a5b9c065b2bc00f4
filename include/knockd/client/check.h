// SPDX-License-Identifier: MIT
// Checks whether the knocks opened a port: connects to it until it answers or the time is over.
#pragma once

#include <optional>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/base/unique_fd.h"
#include "knockd/client/failure.h"
#include "knockd/client/knocker.h"

namespace knockd::client {

struct CheckResult {
  UniqueFd connection;    // non-blocking; empty if the port did not open
  bool was_open = false;  // already before the knocks
  Duration took{};        // from the call to the connection, or to giving up
  int error = 0;          // errno of the last answered attempt; 0: no answer
};

// A connection attempt, to be begun before the first knock: if it is answered, the port was already
// open. Empty on failure.
UniqueFd begin_early_attempt(const Knocker& knocker, uint16_t port);

// A firewall drops the attempts that come before the daemon has opened the port, and the system
// repeats a lost SYN only after a whole second. So new attempts begin in short, growing steps while
// the older ones stay: a distant host needs longer than a step to answer. Fails if no attempt can
// begin. `early` is from before the knocks, or empty.
OrFailure<CheckResult> wait_until_open(const Knocker& knocker, uint16_t port, Duration timeout,
                                       UniqueFd early = {});

}  // namespace knockd::client
