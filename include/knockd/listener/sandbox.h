// SPDX-License-Identifier: MIT
// Gives up every right that reading packets does not need.
#pragma once

#include <optional>

#include "knockd/base/result.h"

namespace knockd {

// The descriptors that a listener works with.
struct SandboxDescriptors {
  int channel;  // the only one that may be written to
  int capture;  // the only one with a filter that may be changed
};

// From here on the process is nobody, without capabilities and without a way to get any; it can
// open nothing, start nothing, and only use the descriptors that it has. It can send nothing but to
// the keeper. Standard input, output and error lead to /dev/null. Reports what could not be given
// up; the process must not go on then. A build without KNOCKD_SANDBOX leaves out the bounding set,
// system calls and the standard streams.
//
// The capture cannot be closed by libpcap any more, which would set options: leave by _exit().
Status enter_sandbox(const SandboxDescriptors& descriptors);

}  // namespace knockd
