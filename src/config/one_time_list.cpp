// SPDX-License-Identifier: MIT
#include "knockd/config/one_time_list.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "knockd/config/one_time_file.h"

namespace knockd {
namespace {

constexpr size_t kTooLarge = size_t{64} << 20;  // bytes; too large for a list of sequences
// How many times the file may be replaced while it is marked.
constexpr int kAttempts = 10;

// Repeated attempts at marking one file, and their shared state.
class Marker {
 public:
  // Without `knocked`: marks the first in force.
  Marker(const std::string& path, const std::optional<Sequence>& knocked,
         const std::vector<Sequence>& skipped, FileCalls& calls)
      : path_(path), knocked_(knocked), skipped_(skipped), calls_(calls) {}

  OneTimeUse run() {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (!open()) return failure();
      // The lock is still held, or another program could have taken it.
      if (is_marked_file()) return read() ? done(Outcome::kMarked) : failure();
      if (!lock()) return errno == EWOULDBLOCK ? done(Outcome::kBusy) : failure();
      if (!read()) return failure();
      const std::vector<size_t> lines = find_lines();
      if (lines.empty()) return done(marked_ ? Outcome::kMarked : Outcome::kNotInForce);
      if (!mark(lines)) return failure();
    }
    refuse("it is replaced all the time");
    return failure();
  }

 private:
  using Outcome = OneTimeUse::Outcome;

  bool open() {
    // O_NONBLOCK: if the path names a pipe, it must not block the daemon.
    file_.reset(calls_.open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0));
    if (!file_) return failed("open");
    if (calls_.fstat(file_.get(), &status_) != 0) return failed("stat");
    if (!S_ISREG(status_.st_mode)) return refuse("not a regular file");
    if (status_.st_size > static_cast<off_t>(kTooLarge)) return refuse("too large");
    return true;
  }

  bool lock() { return calls_.try_flock(file_.get()) == 0 || failed("lock"); }

  bool read() {
    text_.clear();
    char chunk[4096];
    for (;;) {
      const ssize_t count = calls_.read(file_.get(), chunk, sizeof(chunk));
      if (count < 0) return failed("read");
      if (count == 0) return true;
      text_.append(chunk, static_cast<size_t>(count));
      if (text_.size() > kTooLarge) return refuse("too large");
    }
  }

  bool is_marked_file() const { return marked_ && is_same_file(*marked_, status_); }

  std::vector<size_t> find_lines() {
    if (!knocked_) {
      if (auto first = find_one_time_sequence(text_)) knocked_ = std::move(first->sequence);
    }
    return knocked_ ? lines_to_mark(text_, *knocked_, skipped_) : std::vector<size_t>();
  }

  bool mark(const std::vector<size_t>& lines) {
    for (const size_t offset : lines) {
      const ssize_t written = calls_.pwrite(file_.get(), "#", 1, static_cast<off_t>(offset));
      if (written == 0) errno = ENOSPC;
      if (written != 1) return failed("write");
    }
    if (calls_.fdatasync(file_.get()) != 0) return failed("fdatasync");
    marked_ = status_;
    marked_file_ = std::move(file_);
    return true;
  }

  bool failed(const char* call) {
    error_number_ = errno;
    refuse(format("%s: %s", call, std::strerror(error_number_)));
    errno = error_number_;
    return false;
  }
  bool refuse(std::string why) {
    error_ = std::move(why);
    return false;
  }

  OneTimeUse done(Outcome outcome) const {
    OneTimeUse use;
    use.outcome = outcome;
    if (outcome == Outcome::kMarked) use.used = *knocked_;
    if (outcome != Outcome::kBusy) use.in_force = sequences_in_force(text_);
    return use;
  }
  OneTimeUse failure() {
    OneTimeUse use;
    use.error = std::move(error_);
    use.error_number = error_number_;
    return use;
  }

  const std::string& path_;
  std::optional<Sequence> knocked_;
  const std::vector<Sequence>& skipped_;
  FileCalls& calls_;
  UniqueFd file_;         // that the path names now
  UniqueFd marked_file_;  // and holds the lock
  struct stat status_ {};
  std::string text_;
  std::optional<struct stat> marked_;
  std::string error_;
  int error_number_ = 0;
};

}  // namespace

OneTimeUse use_one_time_sequence(const std::string& path, const Sequence& knocked,
                                 const std::vector<Sequence>& skipped, FileCalls& calls) {
  return Marker(path, knocked, skipped, calls).run();
}

OneTimeUse use_next_one_time_sequence(const std::string& path, FileCalls& calls) {
  return Marker(path, std::nullopt, {}, calls).run();
}

}  // namespace knockd
