// SPDX-License-Identifier: MIT
#include "knockd/base/guarded_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"

namespace knockd {
namespace {

Fault cannot_be_read() { return {std::string("cannot be read: ") + ::strerror(errno)}; }

}  // namespace

Result<std::string> read_guarded_file(const std::string& path, size_t most,
                                      const FileGuard& guard) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return cannot_be_read();
  if (!S_ISREG(status.st_mode)) return Fault{"expected a regular file"};
  if ((status.st_mode & guard.forbidden) != 0) {
    return Fault{format("%s may use it (mode %04o): expected %s", guard.others,
                        status.st_mode & 07777u, guard.expected)};
  }
  std::string text(most, '\0');
  size_t size = 0;
  for (ssize_t length = 1; length != 0 && size < text.size();) {
    length = ::read(fd.get(), text.data() + size, text.size() - size);
    if (length < 0 && errno != EINTR) return cannot_be_read();
    size += static_cast<size_t>(std::max<ssize_t>(length, 0));
  }
  text.resize(size);
  return text;
}

}  // namespace knockd
