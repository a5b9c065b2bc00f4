// SPDX-License-Identifier: MIT
// A lock file: the process that holds its lock has exclusive use of something.
#pragma once

#include <sys/types.h>

#include <string>

#include "knockd/base/unique_fd.h"

namespace knockd {

// The process that took the lock removes the file in give_back() or the destructor. The lock ends
// with the process, so a file left by a crash blocks no later start.
class LockFile {
 public:
  enum class Outcome : uint8_t { kTaken, kOthers, kUnusable };

  LockFile() = default;
  ~LockFile() { give_back(); }
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

  // Opens or creates the file and locks it. After kUnusable, errno says why.
  Outcome take(const std::string& path, mode_t mode);
  void give_back();

  bool is_taken() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

 private:
  std::string path_;
  UniqueFd fd_;
  pid_t taker_ = 0;
};

}  // namespace knockd
