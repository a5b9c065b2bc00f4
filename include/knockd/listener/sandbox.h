// SPDX-License-Identifier: MIT
// Drops every privilege that reading packets does not need.
#pragma once

#include <optional>

#include "knockd/base/result.h"

namespace knockd {

// The descriptors that a listener works with.
struct SandboxDescriptors {
  int channel;  // the only writable one
  int capture;  // the only one with a filter that may be changed
};

// Afterwards the process runs as nobody, without capabilities or a way to gain any. It can open and
// start nothing, use only the descriptors that it has, and send only to the keeper. Standard input,
// output and error are /dev/null. On a fault, which names the privilege that could not be dropped,
// the process must end. A build without KNOCKD_SANDBOX leaves out the bounding set, system calls
// and the standard streams.
//
// libpcap cannot close the capture any more, as it would set options: leave by _exit().
Status enter_sandbox(const SandboxDescriptors& descriptors);

}  // namespace knockd
