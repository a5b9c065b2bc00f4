// SPDX-License-Identifier: MIT
// The pid file; its lock ensures that only one daemon uses it.
#pragma once

#include <sys/types.h>

#include <string>

#include "knockd/base/lock_file.h"

namespace knockd {

// The destructor removes the file in the process that wrote it.
class PidFile {
 public:
  enum class Outcome : uint8_t { kWritten, kOtherIsRunning, kUnwritable };

  // Locks the file and writes this process's number. After kOtherIsRunning, `other` is that
  // daemon's number (0 if unknown); after kUnwritable, errno says why.
  Outcome write(const std::string& path, pid_t& other);

 private:
  LockFile file_;
};

}  // namespace knockd
