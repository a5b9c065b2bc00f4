// SPDX-License-Identifier: MIT
// A file that belongs to this process alone: 0600, locked, never reached through a link. It is
// appended to, or replaced as a whole, so that at each moment one whole file is at its path. Knows
// nothing of what the file says.
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

// Calls that return false leave the reason in failure(). Most may work later; after refuse() none
// does. Must be used in one process: the lock does not pass to a child.
class OwnFile {
 public:
  enum class Sync : uint8_t { kYes, kNo };
  // Writes on; false if that or an earlier call of it failed.
  using Put = std::function<bool(std::string_view)>;

  // An empty path is refused. Touches no file yet. `calls` must outlive this object.
  OwnFile(std::string path, FileCalls& calls);
  OwnFile(OwnFile&&) = default;
  OwnFile& operator=(OwnFile&&) = default;

  // Whether a file is at this path that no process has locked. Must not be used while this process
  // has it open: closing it again would give up the lock.
  static bool is_left_behind(const std::string& path);

  const std::string& path() const { return path_; }
  FileCalls& calls() const { return *calls_; }
  const std::string& failure() const { return failure_; }  // "write: No space left on device"
  bool is_refused() const { return refused_; }
  // The file is open, locked and whole, and what is appended follows what is there.
  bool is_appendable() const { return appendable_; }
  size_t size() const { return size_; }  // bytes, while it is appendable
  // Whether this path leads to the file that is open.
  bool is_at(const std::string& path);

  // Opens and locks what stands at the path, or an empty file, made with its folder (0700) if need
  // be; on a read-only file system it is opened for reading alone. Does nothing if it is open for
  // writing. Refuses what is not our own.
  bool acquire();
  // Appends the whole content to `text`; as much as could be read if that fails.
  bool read(std::string& text);

  // REQUIRES: is_appendable(), which ends if this fails.
  bool append(std::string_view text, Sync sync);
  // Replaces the acquired file by one with what `write` puts, which is on disk before it takes the
  // old one's place. If this fails and is_appendable() stays true, the old one is still good.
  bool replace(const std::function<void(const Put&)>& write);

  // Renames the file to one that is not there yet, whose path is then in `aside`.
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
