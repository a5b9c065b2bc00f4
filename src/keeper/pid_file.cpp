// SPDX-License-Identifier: MIT
#include "knockd/keeper/pid_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"

namespace knockd {
namespace {

pid_t number_in(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
  char text[32];
  const ssize_t length = fd ? pread(fd.get(), text, sizeof(text), 0) : 0;
  if (length <= 0) return 0;
  const auto number =
      parse_number(trim(std::string_view(text, static_cast<size_t>(length))), INT32_MAX);
  return number ? static_cast<pid_t>(*number) : 0;
}

}  // namespace

PidFile::Outcome PidFile::write(const std::string& path, pid_t& other) {
  other = 0;
  constexpr mode_t kForAllToRead = 0644;
  switch (file_.take(path, kForAllToRead)) {
    case LockFile::Outcome::kUnusable:
      return Outcome::kUnwritable;
    case LockFile::Outcome::kOthers:
      other = number_in(path);
      return Outcome::kOtherIsRunning;
    case LockFile::Outcome::kTaken:
      break;
  }
  const std::string text = format("%d\n", getpid());
  if (ftruncate(file_.fd(), 0) != 0 ||
      pwrite(file_.fd(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    const int error = errno;
    file_.give_back();
    errno = error;
    return Outcome::kUnwritable;
  }
  return Outcome::kWritten;
}

}  // namespace knockd
