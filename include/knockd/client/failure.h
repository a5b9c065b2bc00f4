// SPDX-License-Identifier: MIT
// How a run of `knock` ends: its exit statuses, and the exception that carries one of them with the
// one line that says why. Only main() catches it.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace knockd::client {

// Part of the interface: ssh configurations and scripts rely on the numbers.
enum class ExitStatus : int {
  kDone = 0,          // all knocks were sent, and the door opened if that was to be checked
  kUsage = 1,         // the command line, or a file that it names, is not understood
  kNameNotFound = 2,  // the host has no address (of the wanted family)
  kNoPermission = 3,  // the system refuses this user the file, the socket or the packet
  kNotOpened = 4,     // the host cannot be reached, or the door did not open in time
};

class Failure : public std::exception {
 public:
  Failure(ExitStatus status, std::string message) : status_(status), message_(std::move(message)) {}

  ExitStatus status() const { return status_; }
  // One line without its end, fit for a terminal.
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ExitStatus status_;
  std::string message_;
};

}  // namespace knockd::client
