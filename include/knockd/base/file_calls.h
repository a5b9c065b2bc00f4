// SPDX-License-Identifier: MIT
// The system calls that write files which must survive a crash; a test can make each of them fail
// in turn.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <string>

namespace knockd {

// "/run" for "/run/control", "." for a name alone.
std::string folder_of(const std::string& path);

// Whether both describe the same file.
inline bool is_same_file(const struct stat& one, const struct stat& other) {
  return one.st_ino == other.st_ino && one.st_dev == other.st_dev;
}

// This class makes the real calls. Results and errno are those of the system calls of the same
// names; calls interrupted by a signal (EINTR) are repeated.
class FileCalls {
 public:
  virtual ~FileCalls() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual int fstat(int fd, struct stat* status);
  virtual int lstat(const char* path, struct stat* status);
  virtual ssize_t read(int fd, void* buffer, size_t size);
  virtual ssize_t write(int fd, const void* bytes, size_t size);
  virtual ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset);
  virtual int fdatasync(int fd);
  virtual int fsync(int fd);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int mkdir(const char* path, mode_t mode);
  // Locks the whole file for this process without waiting (fcntl(2), F_SETLK). Unlike a lock by
  // flock(2) it ends with this process, even while children hold copies of the descriptor.
  virtual int lock(int fd);
  // Locks the whole file as flock(1) does, without waiting (EWOULDBLOCK). The lock ends when the
  // file is closed.
  virtual int try_flock(int fd);

  static FileCalls& real();
};

}  // namespace knockd
