// SPDX-License-Identifier: MIT
#include "knockd/config/files.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "knockd/base/clock.h"

namespace knockd {
namespace {

// If the path names a pipe, reading could block for ever, and a daemon handles no signal while it
// reloads its configuration.
constexpr Duration kLongestWait = std::chrono::seconds(1);

// Whether data or the end can be read before `end`. Never waits for a regular file.
bool wait_until(Instant end, int fd) {
  pollfd polled{fd, POLLIN, 0};
  int ready;
  do {
    const Duration left = std::max(end - BootClock::now(), Duration::zero());
    ready = ::poll(&polled, 1, static_cast<int>(left / std::chrono::milliseconds(1)));
  } while (ready < 0 && errno == EINTR);
  return ready != 0;
}

ConfigFiles::Text read_to_end(int fd) {
  const Instant end = BootClock::now() + kLongestWait;
  std::string text;
  char part[16384];
  for (;;) {
    if (!wait_until(end, fd)) return ConfigFiles::Failure{ETIME};
    const ssize_t length = ::read(fd, part, sizeof(part));
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (length < 0) return ConfigFiles::Failure{errno};
    if (length == 0) return text;
    text.append(part, static_cast<size_t>(length));
    if (text.size() > SystemFiles::kMaxFileSize) return ConfigFiles::Failure{EFBIG};
  }
}

}  // namespace

ConfigFiles::Text SystemFiles::read(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return Failure{errno};
  Text text = read_to_end(fd);
  ::close(fd);
  return text;
}

std::vector<std::string> SystemFiles::matching(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> names;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    names.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  ::globfree(&found);
  return names;
}

std::string SystemFiles::path_of(const std::string& path) const {
  const bool is_relative = !path.empty() && path.front() != '/';
  return is_relative && !folder_.empty() ? folder_ + '/' + path : path;
}

}  // namespace knockd
