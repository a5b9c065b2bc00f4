// SPDX-License-Identifier: MIT
// Waits for the end of a child, with a deadline: a broken program must fail a test, not hang it.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "knockd/base/unique_fd.h"

namespace knockd {

// Reaps the child. Kills it and returns false if it did not end within 10 s.
inline bool ends_soon(pid_t child, int* status = nullptr) {
  constexpr int kDeadline = 10'000;  // ms
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd end{process.get(), POLLIN, 0};
  const bool has_ended = !process || poll(&end, 1, kDeadline) == 1;
  if (!has_ended) kill(child, SIGKILL);
  waitpid(child, status, 0);
  return has_ended;
}

}  // namespace knockd
