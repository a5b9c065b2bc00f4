// SPDX-License-Identifier: MIT
// The process that hears one interface: frames in, events out. It opens its capture, gives up every
// right, and from then on believes only what the keeper sends.
#pragma once

#include "knockd/message/channel.h"
#include "knockd/message/settings.h"

namespace knockd {

// Runs in a process of its own until the keeper closes the channel or the capture fails, which it
// reports as Trouble. Returns the process's exit status.
int run_listener(const ListenerSettings& settings, Channel channel);

}  // namespace knockd
