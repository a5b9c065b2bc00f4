// SPDX-License-Identifier: MIT
// Gives up every right that reading packets does not need.
#pragma once

#include <optional>

#include "knockd/base/result.h"

namespace knockd {

// From here on the process is nobody, without capabilities and without a way to get any; it can
// open nothing, start nothing, and only use the descriptors that it has. Standard input, output and
// error lead to /dev/null. Tells what could not be given up; the process must not go on then. A
// build without KNOCKD_SANDBOX leaves out capabilities, system calls and the standard streams.
[[nodiscard]] std::optional<Fault> enter_sandbox();

}  // namespace knockd
