// SPDX-License-Identifier: MIT
// Waits for descriptors, alarms and signals with epoll, timerfd and signalfd. Does not wake up
// while nothing happens.
#pragma once

#include <signal.h>
#include <sys/epoll.h>

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/result.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// A loop for one thread. It reads the clock once per turn. Callbacks may watch, unwatch and set
// alarms freely.
class EventLoop {
 public:
  // Calls back once, at a point in time; unset after construction. The loop must outlive it.
  class Alarm {
   public:
    Alarm(EventLoop& loop, std::function<void()> callback);
    ~Alarm();
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;
    void set(std::optional<Instant> when) { when_ = when; }
    const std::optional<Instant>& when() const { return when_; }

   private:
    friend class EventLoop;
    EventLoop& loop_;
    std::function<void()> callback_;
    std::optional<Instant> when_;
  };

  using Clock = Instant (*)();
  // Tests on virtual time pass their own clock and call poll().
  explicit EventLoop(Clock clock = BootClock::now);
  // The first error of the kernel. A loop with a fault may never call back.
  const std::optional<Fault>& fault() const { return fault_; }

  // Calls back while `fd` has any of `events` (EPOLLIN ...). Watching again replaces the watch. The
  // owner must unwatch the descriptor before closing it. False, with errno, if the kernel refuses.
  bool watch(int fd, uint32_t events, std::function<void()> callback);
  void unwatch(int fd);

  // Blocks the signals and calls back for each one as part of the loop's turn.
  void watch_signals(const std::vector<int>& signals, std::function<void(int)> callback);

  // The time at the beginning of this turn.
  Instant now() const { return now_; }
  // Time since this turn began or refresh_clock() was last called.
  Duration time_in_turn() const { return clock_() - now_; }
  // Reads the clock again, after a slow callback.
  void refresh_clock() { now_ = clock_(); }

  void run();  // until stop()
  void stop() { running_ = false; }
  // One turn: waits for something to happen, at most until an alarm, and calls back.
  void turn() { turn(-1); }
  // One turn that does not wait.
  void poll() { turn(0); }

 private:
  UniqueFd checked(int fd, const char* what);
  void turn(int timeout);
  void arm();
  void ring();

  const Clock clock_;
  std::optional<Fault> fault_;
  UniqueFd epoll_;
  UniqueFd timer_;
  UniqueFd signals_;
  std::map<int, std::function<void()>> watches_;
  // Watches that ended in this turn; one of them may still be running.
  std::vector<std::map<int, std::function<void()>>::node_type> ended_;
  std::vector<Alarm*> alarms_;
  std::optional<Instant> armed_;
  Instant now_;
  bool running_ = false;
};

}  // namespace knockd
