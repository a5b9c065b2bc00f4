// SPDX-License-Identifier: MIT
// Starts a shell command or a program as a new process; describes how a process ended.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace knockd {

// Runs `/bin/sh -c command` in a new session, with standard input from /dev/null, inherited output,
// default signals, no other descriptors (all open ones become close-on-exec), and `environment`
// (names and values) added to the own one. Returns the process number, or a negative errno.
pid_t spawn_shell(const std::string& command,
                  const std::vector<std::pair<std::string, std::string>>& environment);

// Runs the program at `path` with these streams (`output` is also its standard error) and default
// signals; arguments and environment as for execve(2). Returns the same.
pid_t spawn_program(const char* path, char* const* arguments, char* const* environment, int input,
                    int output);

// The status that waitpid() gave, in words: "exit status 1", "killed by signal 9 (Killed)".
std::string end_text(int status);

}  // namespace knockd
