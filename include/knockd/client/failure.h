// SPDX-License-Identifier: MIT
// The exit statuses of `knock`, and a failure: a status and a one-line reason, returned up to
// main().
#pragma once

#include <string>

#include "knockd/base/result.h"

namespace knockd::client {

// Part of the interface: ssh configurations and scripts rely on the numbers.
enum class ExitStatus : int {
  kDone = 0,          // all knocks were sent, and the door opened if checked
  kUsage = 1,         // the command line, or a file that it names, is invalid
  kNameNotFound = 2,  // the host has no address (of the wanted family)
  kNoPermission = 3,  // the system refuses this user the file, the socket or the packet
  kNotOpened = 4,     // the host cannot be reached, or the door did not open in time
};

struct Failure {
  ExitStatus status = ExitStatus::kUsage;
  std::string message;  // one line without its end, safe for a terminal
};

template <typename Value>
using OrFailure = Result<Value, Failure>;

}  // namespace knockd::client
