// SPDX-License-Identifier: MIT
#include "knockd/keeper/one_time_list.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "knockd/config/one_time_file.h"

namespace knockd {
namespace {

constexpr size_t kTooLarge = size_t{64} << 20;  // bytes; no list of sequences
// How often the file may be replaced while it is marked.
constexpr int kAttempts = 10;

// Where the line of this sequence begins, if the text has it in force or still to come.
std::optional<size_t> find(std::string_view text, const Sequence& wanted) {
  size_t start = 0;
  while (const auto found = find_one_time_sequence(text.substr(start))) {
    const size_t offset = start + found->offset;
    if (found->sequence == wanted) return offset;
    const size_t end = text.find('\n', offset);
    if (end == std::string_view::npos) break;
    start = end + 1;
  }
  return std::nullopt;
}

// One attempt after another at one file; keeps what each needs.
class Marker {
 public:
  Marker(const std::string& path, const Sequence& used, FileCalls& calls)
      : path_(path), used_(used), calls_(calls) {}

  OneTimeUse run() {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (!open() || !read()) return failure();
      if (is_marked_file()) return done(OneTimeUse::Outcome::kMarked);
      const auto offset = find(text_, used_);
      if (!offset) {
        return done(marked_ ? OneTimeUse::Outcome::kMarked : OneTimeUse::Outcome::kNotInForce);
      }
      if (!mark(*offset)) return failure();
    }
    error_ = "it is replaced all the time";
    return failure();
  }

 private:
  bool open() {
    // O_NONBLOCK: a pipe in its place must not hold up the daemon.
    file_.reset(calls_.open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0));
    if (!file_) return failed("open");
    if (calls_.fstat(file_.get(), &status_) != 0) return failed("stat");
    if (!S_ISREG(status_.st_mode)) return refuse("it is not a regular file");
    if (status_.st_size > static_cast<off_t>(kTooLarge)) return refuse("it is too large");
    return true;
  }

  bool read() {
    text_.clear();
    char chunk[4096];
    for (;;) {
      const ssize_t count = calls_.read(file_.get(), chunk, sizeof(chunk));
      if (count < 0) return failed("read");
      if (count == 0) return true;
      text_.append(chunk, static_cast<size_t>(count));
      if (text_.size() > kTooLarge) return refuse("it is too large");
    }
  }

  bool is_marked_file() const {
    return marked_ && marked_->st_ino == status_.st_ino && marked_->st_dev == status_.st_dev;
  }

  bool mark(size_t offset) {
    const ssize_t written = calls_.pwrite(file_.get(), "#", 1, static_cast<off_t>(offset));
    if (written == 0) errno = ENOSPC;
    if (written != 1) return failed("write");
    if (calls_.fdatasync(file_.get()) != 0) return failed("fdatasync");
    marked_ = status_;
    return true;
  }

  bool failed(const char* call) { return refuse(format("%s: %s", call, std::strerror(errno))); }
  bool refuse(std::string why) {
    error_ = std::move(why);
    return false;
  }

  OneTimeUse done(OneTimeUse::Outcome outcome) const {
    auto next = find_one_time_sequence(text_);
    return {.outcome = outcome,
            .error = {},
            .next = next ? std::optional(std::move(next->sequence)) : std::nullopt};
  }
  OneTimeUse failure() const {
    return {.outcome = OneTimeUse::Outcome::kFailed,
            .error = format("one-time file %s cannot be marked: %s", path_.c_str(), error_.c_str()),
            .next = std::nullopt};
  }

  const std::string& path_;
  const Sequence& used_;
  FileCalls& calls_;
  UniqueFd file_;
  struct stat status_ {};
  std::string text_;
  std::optional<struct stat> marked_;
  std::string error_;
};

}  // namespace

OneTimeUse use_one_time_sequence(const std::string& path, const Sequence& used, FileCalls& calls) {
  return Marker(path, used, calls).run();
}

}  // namespace knockd
