// SPDX-License-Identifier: MIT
// The keeper's side of a listener: a child process and a channel. It is not trusted.
#pragma once

#include <sys/types.h>

#include <list>
#include <memory>
#include <optional>

#include "knockd/base/event_loop.h"
#include "knockd/base/result.h"
#include "knockd/keeper/child_process.h"
#include "knockd/keeper/conversation.h"
#include "knockd/message/channel.h"
#include "knockd/message/messages.h"
#include "knockd/message/settings.h"

namespace knockd {

// The function that a listener process runs; returns the exit status.
using ListenerEntry = int (*)(const ListenerSettings& settings, Channel channel);

// The destructor ends the process. The owner must not destroy it inside calls from it.
class ListenerProcess {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_message(ListenerProcess& from, const FromListener& message) = 0;
    // The process has ended unasked and was reaped: no message follows. `status` is from waitpid().
    // A process that sent an invalid message was killed.
    virtual void on_gone(ListenerProcess& from, int status) = 0;
    // Called in the new process, which has a copy of all memory.
    virtual void in_child() {}
  };

  // Forks. `loop` and `owner` must outlive the result.
  static Result<std::unique_ptr<ListenerProcess>> create(EventLoop& loop,
                                                         const ListenerSettings& settings,
                                                         ListenerEntry entry, Owner& owner);

  // Never waits: when the channel is full, messages are sent later, in order. Kills a process that
  // reads nothing for long.
  void send(const ToListener& message);

  // Whether it may still say something.
  bool is_there() const { return process_.is_open() && !misbehaved_; }
  // Whether it was killed because it sent an invalid message.
  bool misbehaved() const { return misbehaved_; }

  pid_t pid() const { return process_.pid(); }
  // The process was reaped, so its number may be in use again. Its last messages may still be in
  // the channel.
  void reaped(int status);

 private:
  ListenerProcess(EventLoop& loop, const ListenerSettings& settings, Owner& owner);
  void on_channel();
  bool flush();
  void report_end();

  EventLoop& loop_;
  Owner& owner_;
  const size_t doors_;
  Conversation conversation_;
  ChildProcess process_;
  bool misbehaved_ = false;
  bool end_reported_ = false;
  std::optional<int> status_;  // once it was reaped
  std::list<MessageBytes> unsent_;
};

}  // namespace knockd
