// SPDX-License-Identifier: MIT
#include "knockd/keeper/child_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "knockd/base/spawn.h"
#include "knockd/base/text.h"

namespace knockd {

ChildProcess::~ChildProcess() {
  close();
  kill();
}

Status ChildProcess::start(const std::function<void(Channel)>& body,
                           std::function<void()> on_channel) {
  auto pair = Channel::make_pair();
  if (!pair) return pair.error();
  auto& [ours, theirs] = *pair;
  // First, so that no process runs unwatched.
  if (!loop_.watch(ours.fd(), EPOLLIN, on_channel)) return fault_of("epoll_ctl");
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    const Fault fault = fault_of("fork");
    loop_.unwatch(ours.fd());
    return fault;
  }
  if (pid == 0) {
    // A parent that died before this line no longer causes a death signal.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) body(std::move(theirs));
    _exit(0);
  }
  pid_ = pid;
  channel_ = std::move(ours);
  on_channel_ = std::move(on_channel);
  is_open_ = true;
  return {};
}

void ChildProcess::await_room(bool yes) {
  loop_.watch(channel_.fd(), yes ? EPOLLIN | EPOLLOUT : EPOLLIN, on_channel_);
}

void ChildProcess::close() {
  if (!std::exchange(is_open_, false)) return;
  loop_.unwatch(channel_.fd());
  channel_ = Channel(UniqueFd());
}

void ChildProcess::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

std::string end_line(const std::string& who, int status, const GrowingPause& failures,
                     Duration pause) {
  const auto times = static_cast<unsigned long long>(failures.failures());
  return format("%s ended (%s)%s; starting another in %.1f s", who.c_str(),
                end_text(status).c_str(),
                times == 1 ? "" : format(", %llu times in a row", times).c_str(),
                std::chrono::duration<double>(pause).count());
}

}  // namespace knockd
