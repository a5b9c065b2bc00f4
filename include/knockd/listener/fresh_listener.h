// SPDX-License-Identifier: MIT
// Listeners as this program started anew. A process that was only forked would have all the memory
// of its keeper: commands, secrets and the environment, for whoever takes it over to read.
#pragma once

#include <optional>

#include "knockd/base/result.h"
#include "knockd/message/channel.h"
#include "knockd/message/settings.h"

namespace knockd {

// Keeps a descriptor of the running program, which stays the same one when an upgrade puts another
// in its place, and tries it. To be called once, before the first listener. Reports why listeners
// cannot be started anew here (no /proc, no execveat).
Status prepare_fresh_listeners();

// In a forked process: becomes the listener. Returns only where that failed, which it reports as
// Trouble; the process's exit status.
int start_fresh_listener(const ListenerSettings& settings, Channel channel);

// Whether this process is such a listener, to be asked first thing; then its whole life. Returns
// the exit status.
bool is_fresh_listener(int argc, char** argv);
int run_fresh_listener();

}  // namespace knockd
