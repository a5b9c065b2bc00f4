// SPDX-License-Identifier: MIT
// What listeners and the resolver have in common; what they do: their own tests.
#include "knockd/keeper/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace knockd {
namespace {

// Whether the last holder of the other end goes within 10 s.
bool ends(int fd) {
  pollfd end{fd, POLLIN, 0};
  char byte;
  return poll(&end, 1, 10'000) == 1 && read(fd, &byte, 1) == 0;
}

TEST(ChildProcessTest, DiesWithItsParent) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    close(pipes[0]);
    EventLoop loop;
    ChildProcess process(loop);
    const auto fault = process.start(
        [&](Channel) {
          const bool told = write(pipes[1], "x", 1) == 1;
          while (told) pause();
        },
        [] {});
    while (!fault) pause();
    _exit(1);
  }
  close(pipes[1]);
  char byte;
  ASSERT_EQ(read(pipes[0], &byte, 1), 1) << "it has not begun";
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(ends(pipes[0])) << "it outlives its parent";
  close(pipes[0]);
}

TEST(ChildProcessTest, IsKilledWithItsObject_AndItsChannelCloses) {
  EventLoop loop;
  pid_t pid = 0;
  {
    ChildProcess process(loop);
    ASSERT_FALSE(process.start(
        [](Channel) {
          for (;;) pause();
        },
        [] {}));
    EXPECT_TRUE(process.is_open());
    pid = process.pid();
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status));
}

TEST(ChildProcessTest, OneThatWasReapedIsNotSignalled) {
  EventLoop loop;
  ChildProcess process(loop);
  ASSERT_FALSE(process.start([](Channel) { _exit(3); }, [] {}));
  int status = 0;
  ASSERT_EQ(waitpid(process.pid(), &status, 0), process.pid());
  EXPECT_EQ(WEXITSTATUS(status), 3);
  process.reaped();
  EXPECT_EQ(process.pid(), 0);
}

TEST(EndLine, CountsFromTheSecondTimeOn) {
  GrowingPause pause(std::chrono::milliseconds(100), std::chrono::seconds(10));
  Duration next = pause.next();
  EXPECT_EQ(end_line("eth0: the listener", 256, pause, next),
            "eth0: the listener ended (exit status 1); starting another in 0.1 s");
  next = pause.next();
  EXPECT_EQ(end_line("eth0: the listener", SIGKILL, pause, next),
            "eth0: the listener ended (killed by signal 9 (Killed)), 2 times in a row; starting "
            "another in 0.2 s");
}

}  // namespace
}  // namespace knockd
