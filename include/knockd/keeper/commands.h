// SPDX-License-Identifier: MIT
// Runs the commands of doors: in order where order matters, side by side elsewhere, and not too
// many at once. What a command means for a door is its owner's business.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"

namespace knockd {

struct Command {
  std::string lane;  // commands of one lane run one after the other, in the order of run()
  std::string name;  // of the door, for the log
  std::string text;  // for /bin/sh -c, rendered
  std::vector<std::pair<std::string, std::string>> environment;
  uint64_t opening = 0;              // the opening that it starts; 0 for any other command
  std::function<void()> begin = {};  // called just before each try to start it; may be empty
  std::function<void()> ended = {};  // called when it has run, whatever its status; may be empty
};

// At most kMostAtOnce commands run at once, the rest wait in order; one that was overtaken counts
// no longer, so that commands that hang cannot keep doors from being closed. A command that can't
// be started (no process to be had) is tried again, with growing pauses, until it can be. When
// commands wait and none could be started for as long as `patience`, that is logged, once.
class Commands {
 public:
  static constexpr size_t kMostAtOnce = 32;

  Commands(EventLoop& loop, Log& log, Duration patience = std::chrono::seconds(10));

  void run(Command command);

  // When the command that starts this opening began to run, if it is running and was not overtaken.
  std::optional<Instant> running_since(const std::string& lane, uint64_t opening) const;

  // If the command that starts this opening is still running, the others of its lane wait for it no
  // longer. Returns whether that was so.
  bool overtake(const std::string& lane, uint64_t opening);

  // To be called for each child that has ended. False: it was none of ours.
  bool child_ended(pid_t pid, int status);

  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_; }

 private:
  struct Lane {
    std::deque<Command> commands;  // that wait
    pid_t busy = 0;                // what the others wait for
  };
  struct Running {
    std::string lane;
    Command command;
    Instant since;
  };
  using RunningMap = std::map<pid_t, Running>;

  // The command that others of its lane wait for, if it starts this opening; else the end.
  RunningMap::const_iterator find_start(const std::string& lane, uint64_t opening) const;
  void start_what_can();
  void tell_of_wait();
  bool start(const std::string& lane);
  void set_ready(const std::string& key, const Lane& lane);
  void report(const Command& command, int status);

  EventLoop& loop_;
  Log& log_;
  const Duration patience_;
  std::map<std::string, Lane> lanes_;
  std::deque<std::string> ready_;  // lanes whose first command may start, in order
  RunningMap running_;
  size_t overtaken_ = 0;  // of those running
  size_t waiting_ = 0;
  EventLoop::Alarm retry_;
  EventLoop::Alarm stuck_;  // set while commands wait for others to end
  bool told_of_wait_ = false;
  Duration pause_{};  // before the next try; zero: nothing failed
};

}  // namespace knockd
