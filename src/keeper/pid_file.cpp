// SPDX-License-Identifier: MIT
#include "knockd/keeper/pid_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <string_view>

#include "knockd/base/file_calls.h"
#include "knockd/base/text.h"

namespace knockd {
namespace {

pid_t number_in(int fd) {
  char text[32];
  const ssize_t length = pread(fd, text, sizeof(text), 0);
  if (length <= 0) return 0;
  const auto number =
      parse_number(trim(std::string_view(text, static_cast<size_t>(length))), INT32_MAX);
  return number ? static_cast<pid_t>(*number) : 0;
}

// Whether the path still leads to the open file: a daemon that left may just have removed it.
bool is_at(int fd, const std::string& path) {
  struct stat open {};
  struct stat there {};
  return fstat(fd, &open) == 0 && stat(path.c_str(), &there) == 0 && is_same_file(open, there);
}

}  // namespace

PidFile::~PidFile() {
  if (fd_ && writer_ == getpid() && is_at(fd_.get(), path_)) unlink(path_.c_str());
}

PidFile::Outcome PidFile::write(const std::string& path, pid_t& other) {
  other = 0;
  for (int attempt = 0; attempt < 10; ++attempt) {
    UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0644));
    if (!fd) return Outcome::kUnwritable;
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return Outcome::kUnwritable;
      other = number_in(fd.get());
      return Outcome::kOtherIsRunning;
    }
    if (!is_at(fd.get(), path)) continue;
    const std::string text = format("%d\n", getpid());
    if (ftruncate(fd.get(), 0) != 0 ||
        pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
      return Outcome::kUnwritable;
    }
    path_ = path;
    writer_ = getpid();
    fd_ = std::move(fd);
    return Outcome::kWritten;
  }
  errno = EAGAIN;
  return Outcome::kUnwritable;
}

}  // namespace knockd
