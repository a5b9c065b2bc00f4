// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

using std::chrono::microseconds;

// A file smaller than this is not worth writing anew.
constexpr size_t kSmall = size_t{64} << 10;
// What is gathered before it is written, so that 10,000 doors are not copied into memory whole.
constexpr size_t kChunk = size_t{64} << 10;
// No daemon of ours writes so much; reading more would be the end of a small machine.
constexpr size_t kTooLarge = size_t{256} << 20;
// After a failure: a pause for each door that was to be written, about ten times what it costs.
constexpr microseconds kPausePerDoor{100};
constexpr microseconds kLongestPause{1'000'000};
// Looking for the file behind a name is repeated when the name changes hands meanwhile.
constexpr int kAttempts = 10;
constexpr int kMostSetAside = 100;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

StateFile::StateFile(std::string path, std::string boot_id, const OpenDoors& doors,
                     FileCalls& calls)
    : path_(std::move(path)),
      boot_id_(std::move(boot_id)),
      doors_(doors),
      calls_(calls),
      refused_(path_.empty()) {}

bool StateFile::is_left_behind(const std::string& path) {
  if (path.empty()) return false;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  // One that cannot be opened may hold doors all the same: open() is to say so.
  if (!file) return errno != ENOENT && errno != ENOTDIR;
  struct flock holder {};
  holder.l_type = F_WRLCK;
  holder.l_whence = SEEK_SET;
  return fcntl(file.get(), F_GETLK, &holder) != 0 || holder.l_type == F_UNLCK;
}

std::vector<OpenDoor> StateFile::open(const Moment& now) {
  if (refused_) return {};
  std::vector<OpenDoor> doors;
  const Acquired acquired = acquire();
  if (acquired == Acquired::kYes || acquired == Acquired::kReadOnly) {
    bool complete = false;
    StateContents contents = parse_state(read_all(complete));
    judge(contents, complete);
    doors = doors_to_close(std::move(contents), boot_id_, now);
    was_read_ = true;
    failure_.clear();
    if (acquired == Acquired::kReadOnly) fd_.reset();
  }
  if (!refused_) {
    write_anew([&](const auto& visit) { std::for_each(doors.begin(), doors.end(), visit); }, now);
  }
  return doors;
}

bool StateFile::opened(const OpenDoor& door, const Moment& now) {
  living_size_ += opened_size(door);
  Bytes bytes;
  append_opened(bytes, door, now);
  return record(bytes, Sync::kYes, now);
}

bool StateFile::extended(const OpenDoor& door, const Moment& now) {
  Bytes bytes;
  append_extended(bytes, door, now);
  return record(bytes, Sync::kYes, now);
}

bool StateFile::closed(const OpenDoor& door, const Moment& now) {
  living_size_ -= std::min(living_size_, opened_size(door));
  Bytes bytes;
  append_closed(bytes, door, now);
  return record(bytes, Sync::kNo, now);
}

bool StateFile::passed(const Moment& now) {
  Bytes bytes;
  append_passed(bytes, now);
  return record(bytes, Sync::kNo, now);
}

std::vector<std::string> StateFile::take_complaints() { return std::exchange(complaints_, {}); }

// --- finding the file
// -----------------------------------------------------------------------------

StateFile::Acquired StateFile::acquire() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    UniqueFd file;
    const Acquired opened = open_or_create(file);
    if (opened == Acquired::kNotNow || opened == Acquired::kRefused) return opened;
    struct stat status {};
    if (calls_.fstat(file.get(), &status) != 0) {
      failed("stat");
      return Acquired::kNotNow;
    }
    if (!is_acceptable(status)) return Acquired::kRefused;
    if (opened == Acquired::kYes && calls_.lock(file.get()) != 0) {
      refuse(errno == EACCES || errno == EAGAIN
                 ? std::string("is in use by another knockd; each needs a StateFile of its own")
                 : format("cannot be locked: %s", std::strerror(errno)));
      return Acquired::kRefused;
    }
    // Between opening and locking, its owner may have written the file anew.
    struct stat at_path {};
    if (calls_.lstat(path_.c_str(), &at_path) == 0 && at_path.st_ino == status.st_ino &&
        at_path.st_dev == status.st_dev) {
      fd_ = std::move(file);
      return opened;
    }
  }
  refuse("changes all the time: another program uses it");
  return Acquired::kRefused;
}

StateFile::Acquired StateFile::open_or_create(UniqueFd& file) {
  // O_NONBLOCK: a pipe in its place must not hold up the daemon.
  constexpr int kFlags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  const auto open_file = [&](int flags) {
    file.reset(calls_.open(path_.c_str(), flags | kFlags, 0600));
    return static_cast<bool>(file);
  };
  if (open_file(O_RDWR | O_CREAT)) return Acquired::kYes;
  if (errno == ENOENT) {
    if (!make_folders()) return Acquired::kNotNow;
    if (open_file(O_RDWR | O_CREAT)) return Acquired::kYes;
  }
  const int reason = errno;
  if (reason == EROFS && open_file(O_RDONLY)) return Acquired::kReadOnly;
  struct stat status {};
  if (calls_.lstat(path_.c_str(), &status) != 0) {
    errno = reason;
    failed("open");
    return Acquired::kNotNow;
  }
  // What is there may hold doors to close; it must not be replaced by a file without them.
  refuse(reason == ELOOP ? std::string("is a symbolic link; it must be a file")
                         : format("cannot be opened: %s", std::strerror(reason)));
  return Acquired::kRefused;
}

bool StateFile::is_acceptable(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) {
    refuse("is not a regular file");
  } else if (status.st_uid != geteuid() && status.st_uid != 0) {
    refuse(format("belongs to user %u: what stands there would be run as user %u",
                  static_cast<unsigned>(status.st_uid), static_cast<unsigned>(geteuid())));
  } else if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    refuse(format("can be written by others (mode %04o): what stands there would be run",
                  static_cast<unsigned>(status.st_mode & 07777)));
  } else if (status.st_size > static_cast<off_t>(kTooLarge)) {
    refuse("is too large to be a state file");
  }
  return !refused_;
}

bool StateFile::make_folders() {
  const std::string folder = folder_of(path_);
  for (size_t end = folder.find('/', 1);; end = folder.find('/', end + 1)) {
    const bool last = end == std::string::npos;
    const std::string part = folder.substr(0, end);
    if (calls_.mkdir(part.c_str(), last ? 0700 : 0755) != 0 && errno != EEXIST) {
      return failed("mkdir");
    }
    if (last) return true;
  }
}

// --- taking up what an earlier run left
// -----------------------------------------------------------

// `complete` tells whether the file could be read to its end.
Bytes StateFile::read_all(bool& complete) {
  Bytes bytes;
  for (;;) {
    const size_t size = bytes.size();
    bytes.resize(size + kChunk);
    const ssize_t count = calls_.read(fd_.get(), bytes.data() + size, kChunk);
    bytes.resize(size + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count <= 0) {
      complete = count == 0;
      if (!complete) failed("read");
      return bytes;
    }
  }
}

// Says what could not be understood, and keeps it for someone who may.
void StateFile::judge(const StateContents& contents, bool complete) {
  using Header = StateContents::Header;
  if (!complete) {
    complain(
        format("%s; %zu open doors were read before", failure_.c_str(), contents.doors.size()));
    if (!set_aside()) refuse("cannot be set aside");
    return;
  }
  switch (contents.header) {
    case Header::kForeign:
      refuse("is no state file of knockd");
      break;
    case Header::kOtherVersion:
      complain(format("is of version %u, this knockd reads version %u", contents.version,
                      kStateVersion));
      if (!set_aside()) refuse("cannot be set aside");
      break;
    case Header::kNone:
    case Header::kGood:
    case Header::kDamaged:
      if (contents.skipped > 0 || contents.header == Header::kDamaged) {
        complain(format("is damaged: %zu bytes were skipped, %zu records read", contents.skipped,
                        contents.records));
      }
      break;
  }
}

// Gives the file at path_ another name that nothing has yet. The lock stays with it, and so does
// fd_; whoever looks for path_ finds nothing until a new file is written there.
bool StateFile::set_aside() {
  for (int number = 1; number <= kMostSetAside; ++number) {
    const std::string aside = format("%s.set-aside.%d", path_.c_str(), number);
    struct stat status {};
    if (calls_.lstat(aside.c_str(), &status) == 0) continue;
    if (errno != ENOENT) return failed("stat");
    if (calls_.rename(path_.c_str(), aside.c_str()) != 0) return failed("rename");
    complain(format("is kept as %s", aside.c_str()));
    return true;
  }
  return false;
}

// --- writing
// --------------------------------------------------------------------------------------

bool StateFile::record(const Bytes& bytes, Sync sync, const Moment& now) {
  if (refused_) return false;
  if (appendable_ && append(bytes, sync) && compact_if_worth_it(now)) return true;
  if (in_trouble_ && now.boot < retry_at_) return false;
  return write_anew(all_doors(), now);
}

bool StateFile::append(const Bytes& bytes, Sync sync) {
  struct stat status {};
  if (calls_.fstat(fd_.get(), &status) != 0) {
    failed("stat");
  } else if (status.st_nlink == 0) {
    errno = ENOENT;
    failed("was taken away");
    fd_.reset();
  } else if (write_all(fd_.get(), bytes) &&
             (sync == Sync::kNo || calls_.fdatasync(fd_.get()) == 0 || failed("fdatasync"))) {
    file_size_ += bytes.size();
    if (sync == Sync::kYes) appending_fails_ = false;
    return true;
  }
  // What stands at the end now is unknown: half a record, or one that never reaches the disk.
  appendable_ = false;
  return false;
}

// False if an attempt left nothing that can be trusted.
bool StateFile::compact_if_worth_it(const Moment& now) {
  if (file_size_ < compact_at_ || file_size_ < kSmall + 2 * living_size_) return true;
  // If it fails, the old file is as good as before, and the next attempt waits until it has
  // doubled.
  compact_at_ = 2 * file_size_;
  if (write_beside_and_rename(all_doors(), now)) return true;
  if (appendable_) {
    complain(format("%s; the file grows until it can be written anew", failure_.c_str()));
    failure_.clear();
    return true;
  }
  return false;
}

bool StateFile::write_anew(const VisitAll& visit_all, const Moment& now) {
  const std::string reason = std::exchange(failure_, {});
  appendable_ = false;
  const bool written = write_beside_and_rename(visit_all, now);
  if (written && in_trouble_) {
    complain("is written again");
  } else if (written && !reason.empty() && !std::exchange(appending_fails_, true)) {
    complain(format("%s; it was written anew", reason.c_str()));
  } else if (!written && !refused_) {
    const auto pause = std::min(kPausePerDoor * static_cast<int64_t>(doors_.size()), kLongestPause);
    retry_at_ = now.boot + pause;
    if (!in_trouble_) {
      complain(
          format("%s; open doors are remembered in memory alone, and a crash would leave them open",
                 failure_.c_str()));
    }
  }
  in_trouble_ = !written;
  failure_.clear();
  return written;
}

// A whole new file under another name, on disk before it takes the old one's place.
bool StateFile::write_beside_and_rename(const VisitAll& visit_all, const Moment& now) {
  if (!fd_) {
    const Acquired acquired = acquire();
    if (acquired == Acquired::kReadOnly) {
      fd_.reset();
      errno = EROFS;
      return failed("open");
    }
    if (acquired != Acquired::kYes) return false;
    struct stat status {};
    if (!was_read_ && calls_.fstat(fd_.get(), &status) == 0 && status.st_size > 0) set_aside();
  }
  const std::string beside = path_ + ".new";
  if (calls_.unlink(beside.c_str()) != 0 && errno != ENOENT) return failed("unlink");
  UniqueFd file(
      calls_.open(beside.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failed("open");
  std::optional<size_t> size;
  const bool whole = (calls_.lock(file.get()) == 0 || failed("lock")) &&
                     (size = fill(file.get(), visit_all, now)) &&
                     (calls_.fsync(file.get()) == 0 || failed("fsync")) &&
                     (calls_.rename(beside.c_str(), path_.c_str()) == 0 || failed("rename"));
  if (!whole) {
    calls_.unlink(beside.c_str());
    return false;
  }
  fd_ = std::move(file);
  was_read_ = true;
  file_size_ = *size;
  living_size_ = *size - kStateHeaderSize;
  compact_at_ = 0;
  appendable_ = sync_folder();
  return appendable_;
}

// Writes header and doors; gives the size in bytes, or nothing if that failed.
std::optional<size_t> StateFile::fill(int fd, const VisitAll& visit_all, const Moment& now) {
  size_t size = 0;
  bool good = true;
  Bytes bytes;
  append_state_header(bytes, boot_id_);
  const auto flush = [&] {
    size += bytes.size();
    good = good && write_all(fd, bytes);
    bytes.clear();
  };
  visit_all([&](const OpenDoor& door) {
    if (!good) return;
    append_opened(bytes, door, now);
    if (bytes.size() >= kChunk) flush();
  });
  flush();
  return good ? std::optional(size) : std::nullopt;
}

bool StateFile::write_all(int fd, const Bytes& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = calls_.write(fd, bytes.data() + done, bytes.size() - done);
    if (count == 0) errno = ENOSPC;
    if (count <= 0) return failed("write");
    done += static_cast<size_t>(count);
  }
  return true;
}

// Without this the new name may not outlive a power cut. Some file systems cannot and need not.
bool StateFile::sync_folder() {
  const UniqueFd folder(
      calls_.open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (!folder) return failed("open folder");
  if (calls_.fsync(folder.get()) == 0 || errno == EINVAL || errno == ENOTSUP) return true;
  return failed("fsync folder");
}

StateFile::VisitAll StateFile::all_doors() const {
  return [this](const auto& visit) {
    for (const auto& [id, door] : doors_.all()) visit(door);
  };
}

// --- telling
// --------------------------------------------------------------------------------------

bool StateFile::failed(const char* call) {
  failure_ = format("%s: %s", call, std::strerror(errno));
  return false;
}

void StateFile::complain(const std::string& what) {
  complaints_.push_back(format("state file %s: %s", path_.c_str(), what.c_str()));
}

void StateFile::refuse(const std::string& why) {
  refused_ = true;
  appendable_ = false;
  fd_.reset();
  complain(why + "; without it a crash would leave doors open");
}

}  // namespace knockd
