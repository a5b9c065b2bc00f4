// SPDX-License-Identifier: MIT
#include "knockd/config/files.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

namespace knockd {
namespace {

ConfigFiles::Text read_to_end(int fd) {
  std::string text;
  char part[16384];
  for (;;) {
    const ssize_t length = ::read(fd, part, sizeof(part));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return ConfigFiles::Failure{errno};
    if (length == 0) return text;
    text.append(part, static_cast<size_t>(length));
    if (text.size() > SystemFiles::kMaxFileSize) return ConfigFiles::Failure{EFBIG};
  }
}

}  // namespace

ConfigFiles::Text SystemFiles::read(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
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

}  // namespace knockd
