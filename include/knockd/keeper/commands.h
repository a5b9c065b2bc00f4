// SPDX-License-Identifier: MIT
// The running commands: starts each in its own process, and knows its opening when it ends.
// knock/openings.h decides which may run, and when.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/log.h"
#include "knockd/knock/action.h"

namespace knockd {

using Environment = std::vector<std::pair<std::string, std::string>>;

// Starts processes. Tests replace it with one that starts none.
class CommandRunner {
 public:
  virtual ~CommandRunner() = default;
  // Runs `/bin/sh -c command`. Returns the process's id, or a negative errno.
  virtual pid_t run(const std::string& command, const Environment& environment);

  static CommandRunner& real();
};

class Commands {
 public:
  // Both must outlive this.
  Commands(Log& log, CommandRunner& runner) : log_(log), runner_(runner) {}

  // Logs and starts a command. Returns 0 or an errno.
  int start(const RunCommand& run);

  struct Ended {
    uint64_t opening = 0;
    CommandKind kind = CommandKind::kStart;
    std::string door;     // or On_Stop
    std::string failure;  // empty: it returned 0
  };
  // To be called for each child that has ended; logs a status that is not 0. Nothing for a process
  // not started here.
  std::optional<Ended> child_ended(pid_t pid, int status);

  size_t running() const { return running_.size(); }
  // Whether a command of this door (or On_Stop) runs.
  bool runs_of(const std::string& name) const;

 private:
  Log& log_;
  CommandRunner& runner_;
  std::map<pid_t, Ended> running_;
};

}  // namespace knockd
