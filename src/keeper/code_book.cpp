// SPDX-License-Identifier: MIT
#include "knockd/keeper/code_book.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

// The longest delay of a listener's messages: a busy sender must not seem to have begun in the next
// step.
constexpr Duration kHeardLater = std::chrono::milliseconds(250);

// The opening of a code that opens nothing.
constexpr uint64_t kNoOpening = 0;

int64_t in_seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

}  // namespace

CodeBook::CodeBook(EventLoop& loop, Log& log, const Config& config, Answer answer,
                   Announce announce, Tell tell, FileCalls& calls, Clock clock)
    : loop_(loop),
      log_(log),
      config_(config),
      answer_(std::move(answer)),
      announce_(std::move(announce)),
      tell_(std::move(tell)),
      calls_(calls),
      clock_(std::move(clock)),
      ledger_(config.doors) {}

int64_t CodeBook::now() const { return in_seconds(clock_()); }

void CodeBook::renew() {
  ledger_.renew();
  if (ledger_.is_empty()) {
    return stop_timer();
  }
  open_file();
  if (!is_wall_clock_in_sync()) {
    warn_of_clock("the clock is not in sync: good codes may be refused");
  }
  if (!timer_) {
    timer_.reset(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    loop_.watch(timer_.get(), EPOLLIN, [this] { on_timer(); });
  }
  arm();
}

void CodeBook::open_file() {
  const std::string path = code_file_of(config_);
  if (file_ && file_->path() == path) return;
  file_ = std::make_unique<CodeFile>(path, ledger_.used(), ledger_.known(), calls_);
  if (const Status read = file_->read(); !read) {
    log_.error("used codes cannot be kept: " + read.error().text +
               "; doors with secrets stay closed until they can");
  }
  if (const size_t damaged = file_->damaged()) {
    log_.error(path + ": " + counted(damaged, "line") + " damaged and left out");
  }
}

// --- Time ----------------------------------------------------------------------------------------

// Expires at the beginning of the next step. The kernel also reports when the clock is set.
void CodeBook::arm() {
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>((step_at(now()) + 1) * kSecondsOfAStep);
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, nullptr);
}

void CodeBook::stop_timer() {
  if (timer_) loop_.unwatch(timer_.get());
  timer_.reset();
}

void CodeBook::on_timer() {
  uint64_t expired = 0;
  time_changed(read(timer_.get(), &expired, sizeof(expired)) < 0 && errno == ECANCELED);
}

void CodeBook::time_changed(bool was_set) {
  if (was_set) warn_of_clock("the clock was set: codes are those of the time that it tells now");
  arm();
  announce();
}

void CodeBook::warn_of_clock(const char* what) {
  if (!std::exchange(clock_warned_, true)) log_.warning(what);
}

void CodeBook::announce() const {
  if (!ledger_.is_empty()) announce_(ledger_.codes(step_at(now())));
}

// --- Knocks --------------------------------------------------------------------------------------

CodeLedger::Judgement CodeBook::judge(DoorNumber door, const IpAddress& source, CodeTag code,
                                      Duration took, bool guesses) const {
  const WallTime time = clock_();
  return ledger_.judge(door, source, code, in_seconds(time), in_seconds(time - kHeardLater - took),
                       guesses);
}

void CodeBook::wrong(DoorNumber door) {
  if (ledger_.wrong(door, now())) {
    log_.warning(too_many_wrong_codes_line(config_.doors[door].name));
  }
}

void CodeBook::too_many_wrong(DoorNumber door) {
  for (int i = 0; i < kMostWrongCodes; ++i) wrong(door);
}

std::optional<CodeKnock> CodeBook::gather_overheard(DoorNumber door, const IpAddress& source,
                                                    CodeTag code) {
  auto knock = ledger_.overheard(door, source, code, now());
  if (!knock) return {};
  ledger_.used().add(*knock);
  file_->used(*knock);
  return knock;
}

void CodeBook::overheard(DoorNumber door, const IpAddress& source, CodeTag code) {
  const auto knock = gather_overheard(door, source, code);
  if (file_->is_kept() || flush(config_.doors[door], "")) tell(door, code, kNoOpening, knock);
}

void CodeBook::tell(DoorNumber number, CodeTag code, uint64_t opening,
                    const std::optional<CodeKnock>& knock) const {
  const Door& door = config_.doors[number];
  if (knock) tell_(opening, door, door.users[code.user].name, *knock);
}

// Returns whether all is on disk.
bool CodeBook::flush(const Door& door, const char* consequence) {
  const Status kept = file_->flush();
  if (kept) return true;
  log_.error(door.name + ": the code cannot be marked as used: " + kept.error().text + consequence);
  return false;
}

void CodeBook::use(const UseSequence& use) {
  const int64_t time = now();
  const CodeKnock knock = ledger_.knock_of(use.door, use.source, use.code, time);
  // Packets get lost and are sent again, and anyone can repeat them at any rate.
  if (ledger_.used().contain(knock) && file_->is_kept()) {
    tell(use.door, use.code, use.opening, knock);
    return answer_(use.opening, true);
  }
  const Door& door = config_.doors[use.door];
  // Until the file was read, the codes used before this run were unknown.
  if (!file_->was_read() && file_->read() && !ledger_.used().allow(knock)) {
    log_.warning(door.name + ": the code, or a later one, was used before; the door stays closed");
    return answer_(use.opening, false);
  }
  ledger_.use(use.door, knock, time);
  file_->used(knock);
  const auto over_ipv6 = gather_overheard(use.door, use.source, use.code);
  if (door.rule.places.typed) file_->opened(door.name, use.source, time);
  const bool kept = flush(door, "; the door stays closed");
  if (kept) {
    tell(use.door, use.code, kNoOpening, over_ipv6);
    tell(use.door, use.code, use.opening, knock);
  }
  answer_(use.opening, kept);
}

Status CodeBook::used_elsewhere(const CodeKnock& knock) {
  if (!ledger_.may_be_used(knock.step, now())) return Fault{"the step of the code is yet to come"};
  if (!ledger_.has_secret(knock.secret)) return {};
  if (ledger_.used().allow(knock) && !ledger_.used().contain(knock)) {
    ledger_.used().add(knock);
    file_->used(knock);
  }
  return file_->is_kept() ? Status() : file_->flush();
}

}  // namespace knockd
