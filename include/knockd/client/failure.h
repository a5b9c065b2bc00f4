// SPDX-License-Identifier: MIT
// How a run of `knock` ends: its exit statuses, and what goes up to main() with one of them: the
// one line that says why.
#pragma once

#include <string>

#include "knockd/base/result.h"

namespace knockd::client {

// Part of the interface: ssh configurations and scripts rely on the numbers.
enum class ExitStatus : int {
  kDone = 0,          // all knocks were sent, and the door opened if that was to be checked
  kUsage = 1,         // the command line, or a file that it names, is not understood
  kNameNotFound = 2,  // the host has no address (of the wanted family)
  kNoPermission = 3,  // the system refuses this user the file, the socket or the packet
  kNotOpened = 4,     // the host cannot be reached, or the door did not open in time
};

struct Failure {
  ExitStatus status = ExitStatus::kUsage;
  std::string message;  // one line without its end, fit for a terminal
};

template <typename Value>
using OrFailure = Result<Value, Failure>;

}  // namespace knockd::client
