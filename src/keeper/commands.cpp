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
  Environment environment{{"KNOCKD_IP", run.source->to_string()},
                          {"KNOCKD_DOOR", run.door},
                          {"KNOCKD_INTERFACE", run.interface},
                          {"KNOCKD_EVENT", run.kind == CommandKind::kStart ? "start" : "stop"}};
  if (!run.user.empty()) environment.emplace_back("KNOCKD_USER", run.user);
  return environment;
}

// The status of waitpid() as text that follows "command"; empty for exit status 0.
std::string failure_text(int status) {
  if (WIFSIGNALED(status)) {
    return format("was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 0) return "";
  return format("returned non-zero status code (%d)", WEXITSTATUS(status));
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
  running_.emplace(pid, Ended{run.opening, run.kind, run.door, {}});
  return 0;
}

std::optional<Commands::Ended> Commands::child_ended(pid_t pid, int status) {
  const auto found = running_.find(pid);
  if (found == running_.end()) return std::nullopt;
  Ended ended = std::move(found->second);
  running_.erase(found);
  ended.failure = failure_text(status);
  if (!ended.failure.empty()) log_.warning(ended.door + ": command " + ended.failure);
  return ended;
}

bool Commands::runs_of(const std::string& name) const {
  return std::any_of(running_.begin(), running_.end(),
                     [&](const auto& entry) { return entry.second.door == name; });
}

}  // namespace knockd
