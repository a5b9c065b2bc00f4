// SPDX-License-Identifier: MIT
// A child process with a channel, for work apart from the keeper: listening, and looking up names.
// The owner defines the messages on the channel.
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

// The destructor kills the process, which needs no cleanup. May be started again once it was reaped
// and its channel is closed.
class ChildProcess {
 public:
  // `loop` must outlive this.
  explicit ChildProcess(EventLoop& loop) : loop_(loop) {}
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Forks. `body` must end by _exit() with its channel open: the channel then closes when the exit
  // status is final. The process dies with this one, until it changes its user. After a fault
  // nothing runs.
  Status start(const std::function<void(Channel)>& body, std::function<void()> on_channel);

  // Valid until close().
  const Channel& channel() const { return channel_; }
  bool is_open() const { return is_open_; }
  // Whether to call on_channel also when there is room.
  void await_room(bool yes);
  // Closes the channel.
  void close();

  // 0 when there is none.
  pid_t pid() const { return pid_; }
  // Does nothing once it was reaped: its number may be in use again.
  void kill();
  // To be called when it was reaped.
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
