// SPDX-License-Identifier: MIT
#include "knockd/keeper/commands.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "knockd/base/spawn.h"
#include "knockd/base/text.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

Environment environment_of(const RunCommand& run) {
  if (!run.source) return {};
  return {{"KNOCKD_IP", run.source->to_string()},
          {"KNOCKD_DOOR", run.door},
          {"KNOCKD_INTERFACE", run.interface},
          {"KNOCKD_EVENT", run.kind == CommandKind::kStart ? "start" : "stop"}};
}

}  // namespace

pid_t CommandRunner::run(const std::string& command, const Environment& environment) {
  return spawn_shell(command, environment);
}

CommandRunner& CommandRunner::real() {
  static CommandRunner runner;
  return runner;
}

int Commands::start(const RunCommand& run) {
  if (!run.again) log_.notice(running_line(run.door, run.command));
  const pid_t pid = runner_.run(run.command, environment_of(run));
  if (pid < 0) return -pid;
  running_.emplace(pid, Running{{run.opening, run.kind}, run.door});
  return 0;
}

std::optional<Commands::Ended> Commands::child_ended(pid_t pid, int status) {
  const auto found = running_.find(pid);
  if (found == running_.end()) return std::nullopt;
  report(found->second.name, status);
  const Ended ended = found->second.what;
  running_.erase(found);
  return ended;
}

bool Commands::runs_of(const std::string& name) const {
  return std::any_of(running_.begin(), running_.end(),
                     [&](const auto& entry) { return entry.second.name == name; });
}

void Commands::report(const std::string& name, int status) {
  if (WIFSIGNALED(status)) {
    log_.warning(format("%s: command was killed by signal %d (%s)", name.c_str(), WTERMSIG(status),
                        strsignal(WTERMSIG(status))));
  } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
    log_.warning(format("%s: command returned non-zero status code (%d)", name.c_str(),
                        WEXITSTATUS(status)));
  }
}

}  // namespace knockd
