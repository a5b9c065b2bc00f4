// SPDX-License-Identifier: MIT
// The common part of listeners and the resolver, which have their own tests too.
#include "knockd/keeper/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "tests/base/ends_soon.h"

namespace knockd {
namespace {

TEST(ChildProcessTest, DiesWithItsParent) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    close(pipes[0]);
    EventLoop loop;
    ChildProcess process(loop);
    const Status started = process.start(
        [&](Channel) {
          const pid_t self = getpid();
          while (write(pipes[1], &self, sizeof(self)) > 0) pause();
        },
        [] {});
    while (started) pause();
    _exit(1);
  }
  close(pipes[1]);
  pid_t child = 0;
  ASSERT_EQ(read(pipes[0], &child, sizeof(child)), static_cast<ssize_t>(sizeof(child)))
      << "it has not begun";
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  pollfd end{pipes[0], POLLIN, 0};
  const bool has_ended = poll(&end, 1, 10'000) == 1;
  EXPECT_TRUE(has_ended) << "it outlives its parent by 10 s";
  if (!has_ended) kill(child, SIGKILL);
  close(pipes[0]);
}

TEST(ChildProcessTest, IsKilledWithItsObject_AndItsChannelCloses) {
  EventLoop loop;
  pid_t pid = 0;
  {
    ChildProcess process(loop);
    ASSERT_TRUE(process.start(
        [](Channel) {
          for (;;) pause();
        },
        [] {}));
    EXPECT_TRUE(process.is_open());
    pid = process.pid();
  }
  EXPECT_TRUE(ends_soon(pid)) << "it was not killed";
}

TEST(ChildProcessTest, ReapedProcessIsNotSignalled) {
  EventLoop loop;
  ChildProcess process(loop);
  ASSERT_TRUE(process.start([](Channel) { _exit(3); }, [] {}));
  int status = 0;
  ASSERT_EQ(waitpid(process.pid(), &status, 0), process.pid());
  EXPECT_EQ(WEXITSTATUS(status), 3);
  process.reaped();
  EXPECT_EQ(process.pid(), 0);
}

TEST(ChildProcessTest, MessagesAreReadWhileWaitingForRoom) {
  EventLoop loop;
  int calls = 0;
  ChildProcess process(loop);
  const std::array<uint8_t, 100> message{};
  ASSERT_TRUE(process.start(
      [&](Channel channel) {
        channel.send(message);
        for (;;) pause();  // it does not read
      },
      [&] { ++calls; }));
  while (process.channel().send(message) == Sent::kYes) {
  }
  process.await_room(true);
  pollfd said{process.channel().fd(), POLLIN, 0};
  ASSERT_EQ(poll(&said, 1, 10'000), 1) << "it has not sent its message in 10 s";
  loop.poll();
  EXPECT_EQ(calls, 1);
  process.kill();
  EXPECT_TRUE(ends_soon(process.pid()));
  process.reaped();
}

TEST(ChildProcessTest, RoomIsReportedWhileItIsAwaited) {
  EventLoop loop;
  int calls = 0;
  ChildProcess process(loop);
  ASSERT_TRUE(process.start(
      [](Channel) {
        for (;;) pause();
      },
      [&] { ++calls; }));
  process.await_room(true);
  loop.poll();
  EXPECT_EQ(calls, 1);
  process.await_room(false);
  loop.poll();
  EXPECT_EQ(calls, 1);
  process.kill();
  EXPECT_TRUE(ends_soon(process.pid()));
  process.reaped();
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
