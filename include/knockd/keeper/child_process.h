// SPDX-License-Identifier: MIT
// A process of our own with a channel to it, for what is done apart from the keeper: listening, and
// looking up names. What is said on the channel is its owner's business.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/result.h"
#include "knockd/message/channel.h"

namespace knockd {

// Killed when this is destroyed: such a process has nothing to put in order. May be started again
// once it was reaped and its channel is closed.
class ChildProcess {
 public:
  // `loop` must outlive this.
  explicit ChildProcess(EventLoop& loop) : loop_(loop) {}
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Forks. `body` ends by _exit(), its channel still open: when that closes, the exit status is
  // settled. The process dies with this one, until it changes its user. Whatever failed, nothing
  // runs.
  Status start(const std::function<void(Channel)>& body, std::function<void()> on_channel);

  // Valid until close().
  const Channel& channel() const { return channel_; }
  bool is_open() const { return is_open_; }
  // Whether on_channel is to be called when there is room, too.
  void await_room(bool yes);
  // Nothing is to be heard or sent any more.
  void close();

  // 0 when there is none.
  pid_t pid() const { return pid_; }
  // Does nothing once it was reaped: its number may be another's.
  void kill();
  // To be called when it was.
  void reaped() { pid_ = 0; }

 private:
  EventLoop& loop_;
  Channel channel_{UniqueFd()};
  std::function<void()> on_channel_;
  pid_t pid_ = 0;
  bool is_open_ = false;
};

// "WHO ended (exit status 1), 2 times in a row; starting another in 0.2 s".
std::string end_line(const std::string& who, int status, const GrowingPause& failures,
                     Duration pause);

}  // namespace knockd
