// SPDX-License-Identifier: MIT
// Real file calls. Records, in order, the calls that decide what survives a power cut: "write
// file", "fsync folder", "rename from to". Files are named by the last part of their paths.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/base/file_calls.h"

namespace knockd {

class RecordingCalls : public FileCalls {
 public:
  std::vector<std::string> take() { return std::exchange(calls_, {}); }

  int open(const char* path, int flags, mode_t mode) override {
    const int fd = FileCalls::open(path, flags, mode);
    if (fd >= 0) names_[fd] = name_of(path);
    return fd;
  }
  ssize_t write(int fd, const void* bytes, size_t size) override {
    calls_.push_back("write " + names_[fd]);
    return FileCalls::write(fd, bytes, size);
  }
  ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) override {
    calls_.push_back("pwrite " + names_[fd]);
    return FileCalls::pwrite(fd, bytes, size, offset);
  }
  int fdatasync(int fd) override {
    calls_.push_back("fdatasync " + names_[fd]);
    return FileCalls::fdatasync(fd);
  }
  int fsync(int fd) override {
    calls_.push_back("fsync " + names_[fd]);
    return FileCalls::fsync(fd);
  }
  int rename(const char* from, const char* to) override {
    calls_.push_back("rename " + name_of(from) + ' ' + name_of(to));
    for (auto& [fd, name] : names_) {
      if (name == name_of(from)) name = name_of(to);
    }
    return FileCalls::rename(from, to);
  }
  int unlink(const char* path) override {
    if (FileCalls::unlink(path) != 0) return -1;
    calls_.push_back("unlink " + name_of(path));
    return 0;
  }
  int lock(int fd) override {
    calls_.push_back("lock " + names_[fd]);
    return FileCalls::lock(fd);
  }

 private:
  static std::string name_of(std::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1));
  }

  std::map<int, std::string> names_;  // by descriptor
  std::vector<std::string> calls_;
};

}  // namespace knockd
