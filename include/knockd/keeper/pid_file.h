// SPDX-License-Identifier: MIT
// The pid file, and by its lock the promise that there is one daemon to it.
#pragma once

#include <sys/types.h>

#include <string>

#include "knockd/base/unique_fd.h"

namespace knockd {

// Removed when it is destroyed by the process that wrote it. The lock goes with the process, so
// that a file left by a crash stops nobody.
class PidFile {
 public:
  enum class Outcome : uint8_t { kWritten, kOtherIsRunning, kUnwritable };

  PidFile() = default;
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  // Locks the file and writes this process's number. After kOtherIsRunning, `other` is that
  // daemon's number (0 if the file does not tell); after kUnwritable, errno says why.
  Outcome write(const std::string& path, pid_t& other);

 private:
  std::string path_;
  UniqueFd fd_;
  pid_t writer_ = 0;
};

}  // namespace knockd
