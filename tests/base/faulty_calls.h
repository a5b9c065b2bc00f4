// SPDX-License-Identifier: MIT
// File calls that fail when a test wants them to; all others are real.
#pragma once

#include <cerrno>
#include <limits>
#include <string>
#include <string_view>

#include "knockd/base/file_calls.h"

namespace knockd {

class FaultyCalls : public FileCalls {
 public:
  static constexpr int kNever = std::numeric_limits<int>::max();

  int calls = 0;              // made so far
  int first_fault = kNever;   // the number, from 1, of the first call that fails
  int last_fault = kNever;    // and of the last
  int error = EIO;            // the error they fail with
  std::string only;           // only calls with this name fail; empty means all
  bool tears_writes = false;  // a failing write writes the first half of its data

  int open(const char* path, int flags, mode_t mode) override {
    return fails("open") ? -1 : FileCalls::open(path, flags, mode);
  }
  int fstat(int fd, struct stat* status) override {
    return fails("fstat") ? -1 : FileCalls::fstat(fd, status);
  }
  int lstat(const char* path, struct stat* status) override {
    return fails("lstat") ? -1 : FileCalls::lstat(path, status);
  }
  ssize_t read(int fd, void* buffer, size_t size) override {
    return fails("read") ? -1 : FileCalls::read(fd, buffer, size);
  }
  ssize_t write(int fd, const void* bytes, size_t size) override {
    if (!fails("write")) return FileCalls::write(fd, bytes, size);
    return tears_writes && size > 1 && !torn_ ? tear(fd, bytes, size) : fail();
  }
  ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) override {
    return fails("pwrite") ? -1 : FileCalls::pwrite(fd, bytes, size, offset);
  }
  int fdatasync(int fd) override { return fails("fdatasync") ? -1 : FileCalls::fdatasync(fd); }
  int fsync(int fd) override { return fails("fsync") ? -1 : FileCalls::fsync(fd); }
  int rename(const char* from, const char* to) override {
    return fails("rename") ? -1 : FileCalls::rename(from, to);
  }
  int unlink(const char* path) override { return fails("unlink") ? -1 : FileCalls::unlink(path); }
  int mkdir(const char* path, mode_t mode) override {
    return fails("mkdir") ? -1 : FileCalls::mkdir(path, mode);
  }
  int lock(int fd) override { return fails("lock") ? -1 : FileCalls::lock(fd); }
  int try_flock(int fd) override { return fails("flock") ? -1 : FileCalls::try_flock(fd); }

 private:
  bool fails(std::string_view call) {
    ++calls;
    errno = error;
    return (only.empty() || only == call) && calls >= first_fault && calls <= last_fault;
  }
  int fail() {
    torn_ = false;
    errno = error;
    return -1;
  }
  // The first half is written; the next call, which writes the rest, fails.
  ssize_t tear(int fd, const void* bytes, size_t size) {
    torn_ = true;
    if (last_fault == calls) ++last_fault;
    return FileCalls::write(fd, bytes, size / 2);
  }

  bool torn_ = false;
};

}  // namespace knockd
