// SPDX-License-Identifier: MIT
#include "knockd/keeper/listener_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace knockd {
namespace {

// Listeners are read for so long in a turn: one that never stops must not starve others, commands
// that have ended, and signals.
constexpr Duration kLongestRead = std::chrono::milliseconds(10);
// Messages between two looks at the clock; so many are read of each listener in each turn.
constexpr int kMessagesInARow = 16;
// Messages that wait for a listener to read. Ours reads them within a moment.
constexpr size_t kMostUnsent = 8192;

}  // namespace

ListenerProcess::ListenerProcess(EventLoop& loop, const ListenerSettings& settings,
                                 ListenerEntry entry, Owner& owner)
    : loop_(loop), owner_(owner), doors_(settings.doors.size()), conversation_(settings) {
  auto pair = Channel::make_pair();
  if (!pair) {
    fault_ = pair.error();
    return;
  }
  auto& [ours, theirs] = *pair;
  const pid_t keeper = getpid();
  pid_ = fork();
  if (pid_ < 0) {
    fault_ = fault_of("fork");
    return;
  }
  if (pid_ == 0) {
    // A keeper that died before this line sends no death signal any more.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(getppid() == keeper ? entry(settings, std::move(theirs)) : 0);
  }
  channel_ = std::move(ours);
  if (!watch()) fault_ = fault_of("epoll_ctl");
}

ListenerProcess::~ListenerProcess() {
  close();
  // It has nothing to put in order.
  if (pid_ > 0) kill(pid_, SIGKILL);
}

void ListenerProcess::send(const ToListener& message) {
  if (gone_ || misbehaved_) return;
  conversation_.told(message);
  if (unsent_.size() == kMostUnsent) {
    misbehaved_ = true;
    unsent_.clear();
    if (pid_ > 0) kill(pid_, SIGKILL);  // the channel then tells that it is gone
    return;
  }
  const bool was_empty = unsent_.empty();
  unsent_.push_back(encode(message));
  if (was_empty && !flush()) watch();
}

// Whether everything is sent.
bool ListenerProcess::flush() {
  while (!unsent_.empty()) {
    if (channel_.send(unsent_.front()) == Sent::kFull) return false;
    unsent_.pop_front();
  }
  return true;
}

bool ListenerProcess::watch() {
  const uint32_t events = unsent_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT;
  return loop_.watch(channel_.fd(), events, [this] { on_channel(); });
}

void ListenerProcess::on_channel() {
  if (!unsent_.empty() && flush()) watch();
  std::array<uint8_t, kLongestMessage> buffer;
  for (int i = 1; !gone_ && (i % kMessagesInARow != 0 || loop_.time_in_turn() < kLongestRead);
       ++i) {
    const Channel::Received received = channel_.receive(buffer);
    if (received.kind == Channel::Received::Kind::kNothing) return;
    if (received.kind == Channel::Received::Kind::kMessage) {
      const auto message =
          decode_from_listener(std::span<const uint8_t>(buffer.data(), received.length), doors_);
      misbehaved_ |= !message || !conversation_.allows(*message);
      if (!misbehaved_) {
        owner_.on_message(*this, *message);
        continue;
      }
    }
    close();
    // One that closed its end without ending, or sent garbage, is of no use either.
    if (pid_ > 0) kill(pid_, SIGKILL);
    return report_end();
  }
}

void ListenerProcess::reaped(int status) {
  pid_ = 0;
  status_ = status;
  report_end();
}

// Once both are known: that all it said was heard, and how it ended. How one ends that misbehaved
// is known at once.
void ListenerProcess::report_end() {
  if (!gone_ || (!status_ && !misbehaved_) || std::exchange(end_reported_, true)) return;
  owner_.on_gone(*this, status_.value_or(SIGKILL));
}

void ListenerProcess::close() {
  if (gone_) return;
  gone_ = true;
  loop_.unwatch(channel_.fd());
  channel_ = Channel(UniqueFd());
}

}  // namespace knockd
