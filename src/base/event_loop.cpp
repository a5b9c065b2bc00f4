// SPDX-License-Identifier: MIT
#include "knockd/base/event_loop.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

namespace knockd {

EventLoop::Alarm::Alarm(EventLoop& loop, std::function<void()> callback)
    : loop_(loop), callback_(std::move(callback)) {
  loop_.alarms_.push_back(this);
}

EventLoop::Alarm::~Alarm() { std::erase(loop_.alarms_, this); }

EventLoop::EventLoop(Clock clock)
    : clock_(clock),
      epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      timer_(checked(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")),
      now_(clock()) {
  watch(timer_.get(), EPOLLIN, [this] {
    uint64_t expirations;
    [[maybe_unused]] const ssize_t got = read(timer_.get(), &expirations, sizeof(expirations));
    armed_.reset();
  });
}

bool EventLoop::watch(int fd, uint32_t events, std::function<void()> callback) {
  auto old = watches_.extract(fd);
  const bool known = !old.empty();
  if (known) ended_.push_back(std::move(old));
  watches_.emplace(fd, std::move(callback));
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) {
    return true;
  }
  const int error = errno;
  if (!fault_) fault_ = fault_of("epoll_ctl");
  watches_.erase(fd);
  errno = error;
  return false;
}

UniqueFd EventLoop::checked(int fd, const char* what) {
  if (fd < 0 && !fault_) fault_ = fault_of(what);
  return UniqueFd(fd);
}

void EventLoop::unwatch(int fd) {
  auto old = watches_.extract(fd);
  if (old.empty()) return;
  ended_.push_back(std::move(old));
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::watch_signals(const std::vector<int>& signals, std::function<void(int)> callback) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = checked(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd");
  watch(signals_.get(), EPOLLIN, [this, callback = std::move(callback)] {
    // Reads pending signals once per turn: a callback that raises another one must not block the
    // loop.
    std::array<signalfd_siginfo, 16> waiting;
    const ssize_t length = read(signals_.get(), waiting.data(), sizeof(waiting));
    for (size_t i = 0; length > 0 && i < static_cast<size_t>(length) / sizeof(waiting[0]); ++i) {
      callback(static_cast<int>(waiting[i].ssi_signo));
    }
  });
}

void EventLoop::run() {
  running_ = true;
  while (running_) turn();
}

void EventLoop::turn(int timeout) {
  arm();
  std::array<epoll_event, 32> events;
  const int count =
      epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
  refresh_clock();
  for (int i = 0; i < count; ++i) {
    // An earlier callback of this turn may have ended this watch.
    const auto found = watches_.find(events[static_cast<size_t>(i)].data.fd);
    if (found != watches_.end()) found->second();
  }
  ended_.clear();
  ring();
}

// Sets the kernel's timer to the first alarm unless it already is.
void EventLoop::arm() {
  std::optional<Instant> first;
  for (const Alarm* alarm : alarms_) {
    if (alarm->when_ && (!first || *alarm->when_ < *first)) first = alarm->when_;
  }
  if (first == armed_) return;
  armed_ = first;
  itimerspec setting{};
  if (first) {
    // Zero would disarm the timer; one in the past expires at once.
    const int64_t count = std::max<int64_t>(first->time_since_epoch().count(), 1);
    // An alarm beyond the range of the kernel's timer is clamped; the loop sets it again on expiry.
    constexpr int64_t kLast = std::numeric_limits<time_t>::max();
    setting.it_value.tv_sec = static_cast<time_t>(std::min(count / 1'000'000'000, kLast));
    setting.it_value.tv_nsec = static_cast<long>(count % 1'000'000'000);
  }
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &setting, nullptr);
}

void EventLoop::ring() {
  // By index: a callback may make or end alarms.
  for (size_t i = 0; i < alarms_.size(); ++i) {
    Alarm* const alarm = alarms_[i];
    if (!alarm->when_ || *alarm->when_ > now_) continue;
    alarm->when_.reset();
    alarm->callback_();
  }
}

}  // namespace knockd
