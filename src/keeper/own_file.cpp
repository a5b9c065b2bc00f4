// SPDX-License-Identifier: MIT
#include "knockd/keeper/own_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr size_t kChunk = size_t{64} << 10;
// knockd never writes this much; reading more would exhaust a small machine.
constexpr off_t kTooLarge = off_t{256} << 20;
// Attempts to open the file when another one replaces it meanwhile.
constexpr int kAttempts = 10;
constexpr int kMostSetAside = 100;
// O_NONBLOCK: if the path names a pipe, it must not block the daemon.
constexpr int kFlags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;

}  // namespace

OwnFile::OwnFile(std::string path, FileCalls& calls)
    : path_(std::move(path)), calls_(&calls), refused_(path_.empty()) {}

bool OwnFile::is_left_behind(const std::string& path) {
  if (path.empty()) return false;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | kFlags));
  // A file that cannot be opened may still have content: acquire() will report it.
  if (!file) return errno != ENOENT && errno != ENOTDIR;
  struct flock holder {};
  holder.l_type = F_WRLCK;
  holder.l_whence = SEEK_SET;
  return fcntl(file.get(), F_GETLK, &holder) != 0 || holder.l_type == F_UNLCK;
}

bool OwnFile::is_at(const std::string& path) {
  struct stat open {};
  struct stat there {};
  return fd_ && calls_->fstat(fd_.get(), &open) == 0 && calls_->lstat(path.c_str(), &there) == 0 &&
         is_same_file(open, there);
}

// --- Opening

bool OwnFile::acquire() {
  if (refused_ || writable_) return writable_;
  close();  // before its successor is locked: closing any descriptor of a file drops the lock
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    bool writable = false;
    UniqueFd file = open_or_create(writable);
    if (!file) return false;
    struct stat status {};
    if (calls_->fstat(file.get(), &status) != 0) return failed("stat");
    if (!is_acceptable(status)) return false;
    if (writable && calls_->lock(file.get()) != 0) {
      const bool in_use = errno == EACCES || errno == EAGAIN;
      failed("lock");
      if (in_use) refuse("is in use by another knockd; each needs a StateFile of its own");
      return false;
    }
    // Its owner may have replaced the file between open and lock.
    struct stat at_path {};
    if (calls_->lstat(path_.c_str(), &at_path) == 0 && is_same_file(at_path, status)) {
      fd_ = std::move(file);
      writable_ = writable;
      return true;
    }
  }
  refuse("changes all the time: another program uses it");
  return false;
}

UniqueFd OwnFile::open_or_create(bool& writable) {
  const auto open_file = [&](int flags) {
    return UniqueFd(calls_->open(path_.c_str(), flags | kFlags, 0600));
  };
  UniqueFd file = open_file(O_RDWR | O_CREAT);
  if (!file && errno == ENOENT) {
    if (!make_folders()) return {};
    file = open_file(O_RDWR | O_CREAT);
  }
  writable = static_cast<bool>(file);
  if (writable) return file;
  const int reason = errno;
  failed("open");
  if (reason == ELOOP) refuse("is a symbolic link; it must be a file");
  return reason == EROFS ? open_file(O_RDONLY) : UniqueFd();
}

bool OwnFile::is_acceptable(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) {
    refuse("is not a regular file");
  } else if (status.st_uid != geteuid() && status.st_uid != 0) {
    refuse(format("belongs to user %u: what stands there would be run as user %u",
                  static_cast<unsigned>(status.st_uid), static_cast<unsigned>(geteuid())));
  } else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    refuse(format("can be written by others (mode %04o): what stands there would be run",
                  static_cast<unsigned>(status.st_mode & 07777)));
  } else if (status.st_size > kTooLarge) {
    refuse("is too large to be a state file");
  }
  return !refused_;
}

bool OwnFile::make_folders() {
  const std::string folder = folder_of(path_);
  for (size_t end = folder.find('/', 1);; end = folder.find('/', end + 1)) {
    const bool last = end == std::string::npos;
    const std::string part = folder.substr(0, end);
    if (calls_->mkdir(part.c_str(), last ? 0700 : 0755) != 0 && errno != EEXIST) {
      return failed("mkdir");
    }
    if (last) return true;
  }
}

bool OwnFile::read(std::string& text) {
  for (;;) {
    const size_t size = text.size();
    text.resize(size + kChunk);
    const ssize_t count = calls_->read(fd_.get(), text.data() + size, kChunk);
    text.resize(size + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count <= 0) return count == 0 || failed("read");
  }
}

// --- Writing

bool OwnFile::append(std::string_view text, Sync sync) {
  // After a failure the end of the file is unknown: half a line, or one that never reaches the
  // disk.
  appendable_ = false;
  struct stat status {};
  if (calls_->fstat(fd_.get(), &status) != 0) return failed("stat");
  if (status.st_nlink == 0) {
    close();
    errno = ENOENT;
    return failed("was taken away");
  }
  if (!write_all(fd_.get(), text)) return false;
  if (sync == Sync::kYes && calls_->fdatasync(fd_.get()) != 0) return failed("fdatasync");
  size_ += text.size();
  appendable_ = true;
  return true;
}

bool OwnFile::replace(const std::function<void(const Put&)>& write) {
  if (!writable_) {
    errno = EROFS;
    return failed("open");
  }
  const std::string beside = path_ + ".new";
  if (calls_->unlink(beside.c_str()) != 0 && errno != ENOENT) return failed("unlink");
  UniqueFd file(calls_->open(beside.c_str(), O_RDWR | O_CREAT | O_EXCL | kFlags, 0600));
  if (!file) return failed("open");
  size_t size = 0;
  bool whole = calls_->lock(file.get()) == 0 || failed("lock");
  if (whole) {
    write([&](std::string_view text) {
      size += text.size();
      return whole = whole && write_all(file.get(), text);
    });
  }
  whole = whole && (calls_->fsync(file.get()) == 0 || failed("fsync")) &&
          (calls_->rename(beside.c_str(), path_.c_str()) == 0 || failed("rename"));
  if (!whole) {
    calls_->unlink(beside.c_str());
    return false;
  }
  fd_ = std::move(file);
  size_ = size;
  appendable_ = sync_folder();
  return appendable_;
}

bool OwnFile::write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = calls_->write(fd, text.data(), text.size());
    if (count == 0) errno = ENOSPC;
    if (count <= 0) return failed("write");
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

// Without this the new name may be lost at a power cut. Some file systems neither support nor need
// it.
bool OwnFile::sync_folder() {
  const UniqueFd folder(
      calls_->open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (!folder) return failed("open folder");
  if (calls_->fsync(folder.get()) == 0 || errno == EINVAL || errno == ENOTSUP) return true;
  return failed("fsync folder");
}

// --- Leaving it

// The lock and fd_ stay with the file; path_ does not exist until replace() has put a new file
// there.
bool OwnFile::set_aside(std::string& aside) {
  for (int number = 1; number <= kMostSetAside; ++number) {
    aside = format("%s.set-aside.%d", path_.c_str(), number);
    struct stat status {};
    if (calls_->lstat(aside.c_str(), &status) == 0) continue;
    if (errno != ENOENT) return failed("stat");
    return calls_->rename(path_.c_str(), aside.c_str()) == 0 || failed("rename");
  }
  errno = EEXIST;
  return failed("rename");
}

bool OwnFile::remove() {
  const bool removed = !is_at(path_) || calls_->unlink(path_.c_str()) == 0 || failed("unlink");
  close();
  return removed;
}

void OwnFile::close() {
  fd_.reset();
  writable_ = appendable_ = false;
}

void OwnFile::refuse(std::string why) {
  close();
  refused_ = true;
  failure_ = std::move(why);
}

bool OwnFile::failed(const char* call) {
  failure_ = format("%s: %s", call, std::strerror(errno));
  return false;
}

}  // namespace knockd
