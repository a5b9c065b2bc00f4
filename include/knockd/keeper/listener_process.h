// SPDX-License-Identifier: MIT
// A listener as its keeper sees it: a child process, a channel, and nothing to be trusted.
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

// What a listener process runs; its result is the exit status.
using ListenerEntry = int (*)(const ListenerSettings& settings, Channel channel);

// Ends the process when it is destroyed. Its owner may destroy it from anywhere but its own calls.
class ListenerProcess {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_message(ListenerProcess& from, const FromListener& message) = 0;
    // The process has ended, though nobody here asked it to, and was reaped: no message follows.
    // `status` is that of waitpid(). One that sent an invalid message was killed.
    virtual void on_gone(ListenerProcess& from, int status) = 0;
    // In the new process, which has a copy of all memory.
    virtual void in_child() {}
  };

  // Forks. `loop` and `owner` must outlive it.
  static Result<std::unique_ptr<ListenerProcess>> create(EventLoop& loop,
                                                         const ListenerSettings& settings,
                                                         ListenerEntry entry, Owner& owner);

  // Never waits: what the channel has no room for is sent later, in order. A process that reads
  // nothing for long is ended.
  void send(const ToListener& message);

  // Whether it may still say something.
  bool is_there() const { return process_.is_open() && !misbehaved_; }
  // Whether it was killed because it sent an invalid message.
  bool misbehaved() const { return misbehaved_; }

  pid_t pid() const { return process_.pid(); }
  // The process has been reaped, so that its number may be another's. Its last words may still wait
  // in the channel.
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
