// SPDX-License-Identifier: MIT
// The process that captures on one interface: frames in, events out. It opens its capture, drops
// every privilege, and from then on trusts only the keeper.
#pragma once

#include "knockd/message/channel.h"
#include "knockd/message/settings.h"

namespace knockd {

// Runs in its own process until the keeper closes the channel or the capture fails, reported as
// Trouble. Returns the process's exit status.
int run_listener(const ListenerSettings& settings, Channel channel);

}  // namespace knockd
