// SPDX-License-Identifier: MIT
#include "knockd/base/file_calls.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace knockd {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}
namespace {

template <typename Call>
auto again_if_interrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

}  // namespace

int FileCalls::open(const char* path, int flags, mode_t mode) {
  return again_if_interrupted([=] { return ::open(path, flags | O_CLOEXEC, mode); });
}
int FileCalls::fstat(int fd, struct stat* status) { return ::fstat(fd, status); }
int FileCalls::lstat(const char* path, struct stat* status) { return ::lstat(path, status); }
ssize_t FileCalls::read(int fd, void* buffer, size_t size) {
  return again_if_interrupted([=] { return ::read(fd, buffer, size); });
}
ssize_t FileCalls::write(int fd, const void* bytes, size_t size) {
  return again_if_interrupted([=] { return ::write(fd, bytes, size); });
}
ssize_t FileCalls::pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return again_if_interrupted([=] { return ::pwrite(fd, bytes, size, offset); });
}
int FileCalls::fdatasync(int fd) {
  return again_if_interrupted([=] { return ::fdatasync(fd); });
}
int FileCalls::fsync(int fd) {
  return again_if_interrupted([=] { return ::fsync(fd); });
}
int FileCalls::rename(const char* from, const char* to) { return ::rename(from, to); }
int FileCalls::unlink(const char* path) { return ::unlink(path); }
int FileCalls::mkdir(const char* path, mode_t mode) { return ::mkdir(path, mode); }
int FileCalls::lock(int fd) {
  struct flock whole_file {};
  whole_file.l_type = F_WRLCK;
  whole_file.l_whence = SEEK_SET;
  return again_if_interrupted([=] { return ::fcntl(fd, F_SETLK, &whole_file); });
}
int FileCalls::try_flock(int fd) {
  return again_if_interrupted([=] { return ::flock(fd, LOCK_EX | LOCK_NB); });
}

FileCalls& FileCalls::real() {
  static FileCalls calls;
  return calls;
}

}  // namespace knockd
