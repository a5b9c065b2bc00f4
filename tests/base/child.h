// SPDX-License-Identifier: MIT
// Runs a part of a test in a child process, for changes that cannot be undone: dropped privileges,
// closed descriptors, limits.
#pragma once

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>

#include "knockd/base/text.h"

namespace knockd {

// What `body` returns in a forked child, or "killed by signal N". The child replies over a socket
// at `reply_fd`, so the body knows which descriptor to keep. It sends the reply as a listener sends
// its messages, because a sandbox may allow nothing else.
inline std::string in_child(const std::function<std::string()>& body, int reply_fd = 100) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return "no socket";
  std::fflush(nullptr);  // or the child would print it, too
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    if (dup2(ends[1], reply_fd) != reply_fd) _exit(1);
    if (ends[1] != reply_fd) close(ends[1]);
    const std::string said = body();
    _exit(write(reply_fd, said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string said;
  char part[512];
  for (ssize_t got; (got = read(ends[0], part, sizeof(part))) > 0;) {
    said.append(part, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return format("killed by signal %d", WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return format("exited with status %d", WEXITSTATUS(status));
  return said;
}

}  // namespace knockd
