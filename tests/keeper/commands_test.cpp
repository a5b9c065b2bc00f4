// SPDX-License-Identifier: MIT
// Commands that are real processes.
#include "knockd/keeper/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/base/temporary_folder.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CommandsTest : public ::testing::Test {
 protected:
  RunCommand start_of(uint64_t opening, const std::string& command) {
    RunCommand run;
    run.opening = opening;
    run.door = "ssh";
    run.source = IpAddress::parse("192.0.2.7");
    run.interface = "eth0";
    run.command = command;
    return run;
  }
  // Waits for the next child. ctest's timeout bounds this.
  std::optional<Commands::Ended> wait_for_child() {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    return commands_.child_ended(pid, status);
  }

  TemporaryFolder folder_;
  RecordingLog log_;
  Commands commands_{log_, CommandRunner::real()};
};

TEST_F(CommandsTest, IsLoggedBeforeItStarts_AndItsSuccessIsNot) {
  EXPECT_EQ(commands_.start(start_of(5, "exit 0")), 0);
  EXPECT_EQ(commands_.running(), 1u);
  EXPECT_THAT(log_.take(), ElementsAre("ssh: running command: exit 0"));
  const auto ended = wait_for_child();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->opening, 5u);
  EXPECT_EQ(ended->kind, CommandKind::kStart);
  EXPECT_EQ(commands_.running(), 0u);
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(CommandsTest, NonZeroStatusAndKillingSignalAreLogged) {
  commands_.start(start_of(1, "exit 7"));
  wait_for_child();
  commands_.start(start_of(2, "kill -9 $$"));
  wait_for_child();
  EXPECT_THAT(log_.take(), ElementsAre("ssh: running command: exit 7",
                                       "ssh: command returned non-zero status code (7)",
                                       "ssh: running command: kill -9 $$",
                                       "ssh: command was killed by signal 9 (Killed)"));
}

TEST_F(CommandsTest, HasItsKnockInTheEnvironment) {
  RunCommand run = start_of(
      1, "echo $KNOCKD_IP,$KNOCKD_DOOR,$KNOCKD_INTERFACE,$KNOCKD_EVENT >" + (folder_ / "found"));
  run.kind = CommandKind::kStop;
  commands_.start(run);
  wait_for_child();
  EXPECT_EQ(read_file(folder_ / "found"), "192.0.2.7,ssh,eth0,stop\n");
}

TEST_F(CommandsTest, HasTheUserOfACodeInTheEnvironment) {
  RunCommand run = start_of(1, "echo ${KNOCKD_USER-none} >>" + (folder_ / "found"));
  commands_.start(run);
  wait_for_child();
  run.user = "alice";
  commands_.start(run);
  wait_for_child();
  EXPECT_EQ(read_file(folder_ / "found"), "none\nalice\n");
}

TEST_F(CommandsTest, RetryIsNotLoggedAgain) {
  RunCommand run = start_of(1, "exit 0");
  run.again = true;
  commands_.start(run);
  EXPECT_THAT(log_.take(), IsEmpty());
  wait_for_child();
}

TEST_F(CommandsTest, CommandTooLongForTheKernelIsAnError) {
  // qemu's vfork() shares no memory, so posix_spawn() there never learns that exec failed.
  pid_t none = 0;
  char name[] = "none";
  char* const arguments[] = {name, nullptr};
  if (posix_spawn(&none, "/nonexistent", nullptr, nullptr, arguments, environ) == 0) {
    waitpid(none, nullptr, 0);
    GTEST_SKIP() << "posix_spawn reports no failure of exec here";
  }
  EXPECT_EQ(commands_.start(start_of(1, std::string(size_t{4} << 20, 'x'))), E2BIG);
  EXPECT_EQ(commands_.running(), 0u);
}

TEST_F(CommandsTest, UnknownChildIsIgnored) { EXPECT_FALSE(commands_.child_ended(1, 0)); }

}  // namespace
}  // namespace knockd
