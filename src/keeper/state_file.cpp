// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_file.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;

// A file smaller than this is not worth rewriting.
constexpr size_t kSmall = size_t{64} << 10;
// The size of a write, so that 10,000 doors are not copied into memory at once.
constexpr size_t kChunk = size_t{64} << 10;
// The pause per door after a failed write: about ten times the cost of an attempt.
constexpr Duration kPausePerDoor = 100us;
constexpr Duration kLongestPause = 1s;

}  // namespace

StateFile::StateFile(std::string path, std::string boot_id, VisitAll all_open, FileCalls& calls)
    : boot_id_(std::move(boot_id)), all_open_(std::move(all_open)), file_(std::move(path), calls) {}

std::vector<OpenDoor> StateFile::open(const Moment& now) {
  if (file_.is_refused()) return {};
  if (take_up(now)) write_anew(now);
  due_ = !is_kept() && !file_.is_refused();  // else the next try would wait for a knock
  return std::exchange(found_, {});
}

void StateFile::gather(Fact fact, const OpenDoor& door, const Moment& now) {
  if (file_.is_refused()) return;
  due_ = true;
  must_sync_ = must_sync_ || fact == Fact::kOpen || fact == Fact::kExtend;
  // Else the whole file must be rewritten.
  if (is_kept()) append_fact(gathered_, fact, door, now);
}

bool StateFile::flush(const Moment& now) {
  if (!due_) return is_kept();
  const bool kept = append(now) || (now.boot >= retry_at_ && take_up(now) && write_anew(now));
  due_ = !kept && !file_.is_refused();
  return kept;
}

std::vector<OpenDoor> StateFile::take_found() {
  if (!found_.empty()) due_ = ids_differ_ = true;
  return std::exchange(found_, {});
}

std::vector<std::string> StateFile::take_complaints() { return std::exchange(complaints_, {}); }

bool StateFile::move_to(const std::string& path, const Moment& now) {
  if (path == file_.path() || file_.is_at(path)) return true;
  StateFile next(path, boot_id_, all_open_, file_.calls());
  if (!path.empty() && !(next.take_up(now) && next.write_anew(now))) {
    complaints_.insert(complaints_.end(), next.complaints_.begin(), next.complaints_.end());
    complain(format("is still in use, since open doors cannot be kept in %s", path.c_str()));
    return false;
  }
  if (!was_read_ && !file_.path().empty()) {
    complain("is left as it is: it could not be read");
  } else if (!file_.remove()) {
    complain(file_.failure() + "; it names doors of today, though it is no longer in use");
  }
  next.complaints_.insert(next.complaints_.begin(), complaints_.begin(), complaints_.end());
  next.found_.insert(next.found_.begin(), found_.begin(), found_.end());
  *this = std::move(next);
  return true;
}

// --- Reading what an earlier run left

// Ensures that the file is locked by this process, and that doors of an earlier run are in found_.
bool StateFile::take_up(const Moment& now) {
  if (!file_.acquire()) return begin_trouble(now);
  if (was_read_) return true;
  std::string text;
  const bool complete = file_.read(text);
  StateContents contents = parse_state(text);
  std::erase_if(contents.doors,
                [&](const auto& stored) { return taken_up_.contains(stored.door.id); });
  for (const auto& stored : contents.doors) taken_up_.insert(stored.door.id);
  was_read_ = complete && accept(contents);
  std::vector<OpenDoor> doors = doors_to_close(std::move(contents), boot_id_, now);
  std::move(doors.begin(), doors.end(), std::back_inserter(found_));
  if (was_read_) {
    taken_up_.clear();
    return true;
  }
  file_.close();
  return begin_trouble(now);
}

// Reports unreadable content and keeps a copy of it. False if the file must not be overwritten.
bool StateFile::accept(const StateContents& contents) {
  using Header = StateContents::Header;
  std::string aside;
  switch (contents.header) {
    case Header::kForeign:
      file_.refuse("is no state file of knockd");
      return false;
    case Header::kOtherVersion:
      if (!file_.set_aside(aside)) return false;
      complain(format("is of version %u, this knockd reads version %u: it is kept as %s",
                      contents.version, kStateVersion, aside.c_str()));
      return true;
    case Header::kNone:
    case Header::kGood:
    case Header::kDamaged:
      if (contents.skipped > 0 || contents.header == Header::kDamaged) {
        complain(format("is damaged: skipped %s, read %s",
                        counted(contents.skipped, "byte").c_str(),
                        counted(contents.facts, "line").c_str()));
      }
      return true;
  }
  return false;
}

// --- Writing

// False if the file can no longer be trusted.
bool StateFile::append(const Moment& now) {
  const std::string lines = std::exchange(gathered_, {});
  const bool must_sync = std::exchange(must_sync_, false);
  if (!is_kept() || ids_differ_ || !found_.empty()) return false;
  why_anew_.clear();
  if (!file_.append(lines, must_sync ? OwnFile::Sync::kYes : OwnFile::Sync::kNo)) {
    why_anew_ = file_.failure();
    return false;
  }
  if (must_sync) appending_fails_ = false;
  if (file_.size() < compact_at_) return true;
  compact_at_ = 2 * file_.size();  // if it fails now
  if (replace(now)) return true;
  if (!is_kept()) {
    why_anew_ = file_.failure();
    return false;
  }
  complain(file_.failure() + "; the file grows until it can be written anew");
  return true;
}

bool StateFile::write_anew(const Moment& now) {
  const std::string why = std::exchange(why_anew_, {});
  if (!replace(now)) return begin_trouble(now);
  if (std::exchange(in_trouble_, false)) {
    complain("is written again");
  } else if (!why.empty() && !std::exchange(appending_fails_, true)) {
    complain(why + "; it was written anew");
  }
  return true;
}

// Replaces the file by one with only the open doors.
bool StateFile::replace(const Moment& now) {
  std::string text;
  append_header(text, boot_id_);
  const bool replaced = file_.replace([&](const OwnFile::Put& put) {
    bool good = true;
    doors_ = 0;
    const auto write = [&](const OpenDoor& door) {
      ++doors_;
      if (!good) return;
      append_fact(text, Fact::kOpen, door, now);
      if (text.size() < kChunk) return;
      good = put(text);
      text.clear();
    };
    all_open_(write);
    std::for_each(found_.begin(), found_.end(), write);
    put(text);
  });
  if (!replaced) return false;
  ids_differ_ = false;
  compact_at_ = kSmall + 2 * file_.size();
  return true;
}

// --- Reporting

// Always false.
bool StateFile::begin_trouble(const Moment& now) {
  retry_at_ =
      now.boot + (was_read_ ? std::min(kPausePerDoor * static_cast<int64_t>(doors_), kLongestPause)
                            : unread_pause_.next());
  const bool is_new = !std::exchange(in_trouble_, true);
  if (file_.is_refused()) {
    complain(file_.failure() + "; without it a crash would leave doors open");
  } else if (is_new) {
    const std::string unread = "; it is left as it is and read again later; read so far: " +
                               counted(taken_up_.size(), "open door") + "; until then";
    complain(file_.failure() + (was_read_ ? ";" : unread) +
             " open doors are remembered in memory alone, and a crash would leave them open");
  }
  return false;
}

void StateFile::complain(const std::string& what) {
  complaints_.push_back(format("state file %s: %s", file_.path().c_str(), what.c_str()));
}

}  // namespace knockd
