// SPDX-License-Identifier: MIT
#include "knockd/keeper/commands.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "knockd/base/spawn.h"
#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(50);
constexpr Duration kLongestPause = std::chrono::seconds(5);

}  // namespace

Commands::Commands(EventLoop& loop, Log& log, Duration patience)
    : loop_(loop),
      log_(log),
      patience_(patience),
      retry_(loop, [this] { start_what_can(); }),
      stuck_(loop, [this] { tell_of_wait(); }) {}

void Commands::run(Command command) {
  const std::string key = command.lane;
  Lane& lane = lanes_[key];
  lane.commands.push_back(std::move(command));
  ++waiting_;
  if (lane.commands.size() == 1) set_ready(key, lane);
  start_what_can();
}

Commands::RunningMap::const_iterator Commands::find_start(const std::string& key,
                                                          uint64_t opening) const {
  const auto lane = lanes_.find(key);
  if (lane == lanes_.end() || lane->second.busy == 0) return running_.end();
  const auto running = running_.find(lane->second.busy);
  if (running == running_.end() || running->second.command.opening != opening) {
    return running_.end();
  }
  return running;
}

std::optional<Instant> Commands::running_since(const std::string& key, uint64_t opening) const {
  const auto running = find_start(key, opening);
  return running == running_.end() ? std::nullopt : std::optional(running->second.since);
}

bool Commands::overtake(const std::string& key, uint64_t opening) {
  if (find_start(key, opening) == running_.end()) return false;
  Lane& lane = lanes_.at(key);
  lane.busy = 0;
  ++overtaken_;
  set_ready(key, lane);
  start_what_can();
  return true;
}

bool Commands::child_ended(pid_t pid, int status) {
  const auto found = running_.find(pid);
  if (found == running_.end()) return false;
  const Running ended = std::move(found->second);
  running_.erase(found);
  report(ended.command, status);
  const auto lane = lanes_.find(ended.lane);
  if (lane != lanes_.end() && lane->second.busy == pid) {
    lane->second.busy = 0;
    if (lane->second.commands.empty()) {
      lanes_.erase(lane);
    } else {
      set_ready(ended.lane, lane->second);
    }
  } else {
    --overtaken_;
  }
  if (ended.command.ended) ended.command.ended();
  start_what_can();
  return true;
}

void Commands::set_ready(const std::string& key, const Lane& lane) {
  if (lane.busy == 0 && !lane.commands.empty()) ready_.push_back(key);
}

void Commands::start_what_can() {
  while (running_.size() - overtaken_ < kMostAtOnce && !ready_.empty() && !retry_.when()) {
    stuck_.set(std::nullopt);
    told_of_wait_ = false;
    if (!start(ready_.front())) return;
    ready_.pop_front();
  }
  if (!ready_.empty() && !retry_.when() && !stuck_.when() && !told_of_wait_) {
    stuck_.set(loop_.now() + patience_);
  }
}

// Commands that never end could otherwise keep doors shut without a word.
void Commands::tell_of_wait() {
  told_of_wait_ = true;
  log_.warning(format(
      "%s: command waits: %zu others are running, and none has ended for %lld s",
      lanes_.at(ready_.front()).commands.front().name.c_str(), kMostAtOnce,
      static_cast<long long>(std::chrono::duration_cast<std::chrono::seconds>(patience_).count())));
}

// False: no process could be had; the lane stays the first in line.
bool Commands::start(const std::string& key) {
  Lane& lane = lanes_.at(key);
  Command& command = lane.commands.front();
  if (command.begin) command.begin();
  if (pause_ == Duration::zero()) {
    log_.notice(format("%s: running command: %s", command.name.c_str(), command.text.c_str()));
  }
  const pid_t pid = spawn_shell(command.text, command.environment);
  if (pid < 0) {
    if (pause_ == Duration::zero()) {
      log_.error(format("%s: command could not be started: %s; trying again", command.name.c_str(),
                        strerror(-pid)));
    }
    pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
    loop_.refresh_clock();
    retry_.set(loop_.now() + pause_);
    return false;
  }
  pause_ = Duration::zero();
  lane.busy = pid;
  running_.emplace(pid, Running{key, std::move(command), loop_.now()});
  lane.commands.pop_front();
  --waiting_;
  return true;
}

void Commands::report(const Command& command, int status) {
  if (WIFSIGNALED(status)) {
    log_.warning(format("%s: command was killed by signal %d (%s)", command.name.c_str(),
                        WTERMSIG(status), strsignal(WTERMSIG(status))));
  } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
    log_.warning(format("%s: command returned non-zero status code (%d)", command.name.c_str(),
                        WEXITSTATUS(status)));
  }
}

}  // namespace knockd
