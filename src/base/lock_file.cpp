// SPDX-License-Identifier: MIT
#include "knockd/base/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "knockd/base/file_calls.h"

namespace knockd {
namespace {

constexpr int kMostTries = 10;

// Whether the path still names the open file: the previous owner may just have removed it.
bool is_at(int fd, const std::string& path) {
  struct stat open {};
  struct stat there {};
  return fstat(fd, &open) == 0 && stat(path.c_str(), &there) == 0 && is_same_file(open, there);
}

}  // namespace

LockFile::Outcome LockFile::take(const std::string& path, mode_t mode) {
  for (int tries = 0; tries < kMostTries; ++tries) {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, mode));
    if (!fd) return Outcome::kUnusable;
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return errno == EWOULDBLOCK ? Outcome::kOthers : Outcome::kUnusable;
    }
    if (!is_at(fd.get(), path)) continue;
    path_ = path;
    taker_ = getpid();
    fd_ = std::move(fd);
    return Outcome::kTaken;
  }
  errno = EAGAIN;
  return Outcome::kUnusable;
}

// Removed while locked: the next process to lock it sees that the path no longer names it.
void LockFile::give_back() {
  if (fd_ && taker_ == getpid() && is_at(fd_.get(), path_)) unlink(path_.c_str());
  fd_.reset();
}

}  // namespace knockd
