// SPDX-License-Identifier: MIT
// The least that a program can do to open a door: start its command. The benchmark compares knockd
// with it. Starts the command for each byte that it reads, and ends at the end of its input.
//
//   bare_opener COMMAND
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bare_opener COMMAND\n");
    return 1;
  }
  char name[] = "sh";
  char option[] = "-c";
  const std::array<char*, 4> arguments{name, option, argv[1], nullptr};
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) == 1) {
    pid_t pid = 0;
    const int error = posix_spawn(&pid, "/bin/sh", nullptr, nullptr, arguments.data(), environ);
    if (error != 0) {
      std::fprintf(stderr, "bare_opener: /bin/sh: %s\n", strerror(error));
      return 1;
    }
    waitpid(pid, nullptr, 0);
  }
  return 0;
}
