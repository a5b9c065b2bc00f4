// SPDX-License-Identifier: MIT
// Starts a listener by executing this program again. A process that was only forked would have all
// memory of its keeper: an attacker who takes it over could read commands, secrets and the
// environment.
#pragma once

#include <optional>

#include "knockd/base/result.h"
#include "knockd/message/channel.h"
#include "knockd/message/settings.h"

namespace knockd {

// Keeps a descriptor of the running program, which stays the same when an upgrade replaces the
// file, and tests a start. To be called once, before the first listener. Reports why listeners
// cannot be executed here (no /proc, no execveat).
Status prepare_fresh_listeners();

// In a forked process: becomes the listener. Returns only on failure, reported as Trouble, with the
// process's exit status.
int start_fresh_listener(const ListenerSettings& settings, Channel channel);

// Whether this process is such a listener; main() checks that first. It then runs
// run_fresh_listener() until its end, which returns the exit status.
bool is_fresh_listener(int argc, char** argv);
int run_fresh_listener();

}  // namespace knockd
