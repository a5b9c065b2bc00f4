// SPDX-License-Identifier: MIT
// A file used only by this process: 0600, locked, never opened through a link. It is appended to or
// replaced as a whole, so that a complete file is always at its path. Independent of its content.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "knockd/base/file_calls.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// Calls that return false leave the reason in failure(). Most can be retried; after refuse() all
// fail. Must be used in one process: children do not inherit the lock.
class OwnFile {
 public:
  enum class Sync : uint8_t { kYes, kNo };
  // Writes more; false if this or an earlier call failed.
  using Put = std::function<bool(std::string_view)>;

  // Refuses an empty path. Touches no file yet. `calls` must outlive this object.
  OwnFile(std::string path, FileCalls& calls);
  OwnFile(OwnFile&&) = default;
  OwnFile& operator=(OwnFile&&) = default;

  // Whether the path has a file that no process has locked. Must not be used while this process has
  // it open: closing it again would drop the lock.
  static bool is_left_behind(const std::string& path);

  const std::string& path() const { return path_; }
  FileCalls& calls() const { return *calls_; }
  const std::string& failure() const { return failure_; }  // "write: No space left on device"
  bool is_refused() const { return refused_; }
  // Whether the file is open, locked and whole, so that text can be appended.
  bool is_appendable() const { return appendable_; }
  size_t size() const { return size_; }  // bytes; valid while appendable
  // Whether this path names the open file.
  bool is_at(const std::string& path);

  // Opens and locks the file at the path, or creates an empty one, with its folder (0700) if
  // needed; read-only on a read-only file system. Does nothing if it is open for writing. Refuses
  // files that are not the process's own.
  bool acquire();
  // Appends the whole content to `text`, or on failure what could be read.
  bool read(std::string& text);

  // REQUIRES: is_appendable(), which becomes false on failure.
  bool append(std::string_view text, Sync sync);
  // Replaces the acquired file with the text that `write` puts, which is on disk before the new
  // file replaces the old. If this fails and is_appendable() stays true, the old one is still
  // valid.
  bool replace(const std::function<void(const Put&)>& write);

  // Renames the file to an unused path, stored in `aside`.
  bool set_aside(std::string& aside);
  bool remove();
  // Closes the file; acquire() may open it again.
  void close();
  void refuse(std::string why);

 private:
  UniqueFd open_or_create(bool& writable);
  bool is_acceptable(const struct stat& status);
  bool make_folders();
  bool write_all(int fd, std::string_view text);
  bool sync_folder();
  bool failed(const char* call);  // keeps errno's reason; always false

  std::string path_;
  FileCalls* calls_;
  UniqueFd fd_;
  bool writable_ = false;  // fd_ is, and holds the lock
  bool appendable_ = false;
  bool refused_ = false;
  size_t size_ = 0;
  std::string failure_;
};

}  // namespace knockd
