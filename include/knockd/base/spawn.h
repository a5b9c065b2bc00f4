// SPDX-License-Identifier: MIT
// Starts a shell command as a process of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace knockd {

// Runs `/bin/sh -c command` in a session of its own, with standard input from /dev/null, output to
// our own, default signals, no other descriptor (whatever we have open becomes close-on-exec), and
// `environment` (names and values) added to ours. Returns the process number, or a negative errno.
pid_t spawn_shell(const std::string& command,
                  const std::vector<std::pair<std::string, std::string>>& environment);

}  // namespace knockd
