// SPDX-License-Identifier: MIT
#include "knockd/keeper/commands.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "tests/base/child.h"
#include "tests/keeper/command_fixture.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class CommandsTest : public CommandFixture {
 protected:
  Command command(const std::string& lane, const std::string& text, uint64_t opening = 0) {
    Command command;
    command.lane = lane;
    command.name = lane;
    command.text = text;
    command.opening = opening;
    return command;
  }
  void run(const std::string& lane, const std::string& text, uint64_t opening = 0) {
    commands_.run(command(lane, text, opening));
  }

  using CommandFixture::CommandFixture;
};

class ImpatientCommandsTest : public CommandsTest {
 protected:
  ImpatientCommandsTest() : CommandsTest(std::chrono::seconds(0)) {}

  // So that an alarm which is due has rung.
  void turn_some_times() {
    int turns = 0;
    run_until([&] { return ++turns > 3; });
  }
};

TEST_F(CommandsTest, IsLoggedBeforeItIsStarted_AndSaysNothingWhenAllIsWell) {
  run("ssh", note("a"));
  EXPECT_THAT(log_.take(), ElementsAre("ssh: running command: " + note("a")));
  EXPECT_EQ(commands_.running(), 1u);
  run_until_idle();
  EXPECT_THAT(notes(), ElementsAre("a"));
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(CommandsTest, NonZeroStatusIsLogged) {
  run("ssh", "exit 7");
  log_.take();
  run_until_idle();
  EXPECT_THAT(log_.take(), ElementsAre("ssh: command returned non-zero status code (7)"));
}

TEST_F(CommandsTest, KillingSignalIsLogged) {
  run("ssh", "kill -9 $$");
  log_.take();
  run_until_idle();
  EXPECT_THAT(log_.take(), ElementsAre("ssh: command was killed by signal 9 (Killed)"));
}

TEST_F(CommandsTest, EnvironmentReachesTheCommand) {
  Command one = command("ssh", "echo $KNOCKD_IP $KNOCKD_EVENT >" + (folder_ / "notes"));
  one.environment = {{"KNOCKD_IP", "192.0.2.7"}, {"KNOCKD_EVENT", "start"}};
  commands_.run(std::move(one));
  run_until_idle();
  EXPECT_THAT(notes(), ElementsAre("192.0.2.7", "start"));
}

TEST_F(CommandsTest, OfOneLaneRunOneAfterTheOther) {
  run("ssh", wait_for("go") + "; " + note("first"));
  run("ssh", note("second"));
  run("ssh", note("third"));
  EXPECT_EQ(commands_.running(), 1u);
  EXPECT_EQ(commands_.waiting(), 2u);
  release("go");
  run_until_idle();
  EXPECT_THAT(notes(), ElementsAre("first", "second", "third"));
}

TEST_F(CommandsTest, OfDifferentLanesRunSideBySide) {
  run("ssh", wait_for("go"));
  run("web", note("web"));
  run_until_noted({"web"});
  release("go");
  run_until_idle();
}

TEST_F(CommandsTest, BeginAndEndedAreCalledAtTheirTime) {
  std::vector<std::string> calls;
  Command first = command("ssh", wait_for("go"));
  first.begin = [&] { calls.push_back("first begins"); };
  first.ended = [&] { calls.push_back("first ended"); };
  Command second = command("ssh", "exit 1");
  second.begin = [&] { calls.push_back("second begins"); };
  second.ended = [&] { calls.push_back("second ended"); };
  commands_.run(std::move(first));
  commands_.run(std::move(second));
  EXPECT_THAT(calls, ElementsAre("first begins"));
  release("go");
  run_until_idle();
  EXPECT_THAT(calls, ElementsAre("first begins", "first ended", "second begins", "second ended"));
}

TEST_F(CommandsTest, EndedMayRunAnother_InItsOwnLane) {
  Command first = command("ssh", note("first"));
  first.ended = [&] { run("ssh", note("another")); };
  commands_.run(std::move(first));
  run_until_noted({"first", "another"});
  run_until_idle();
}

TEST_F(CommandsTest, AtMostThirtyTwoAtOnce_TheRestInOrder) {
  for (size_t i = 0; i < Commands::kMostAtOnce; ++i) run(format("lane %zu", i), wait_for("go"));
  for (const char* lane : {"a", "b", "c"}) {
    run(lane, note(lane) + "; " + wait_for(std::string("go-") + lane));
  }
  EXPECT_EQ(commands_.running(), 32u);
  EXPECT_EQ(commands_.waiting(), 3u);
  const auto lines = log_.take();
  EXPECT_EQ(lines.size(), 32u);
  release("go");
  run_until([&] { return commands_.running() == 3; });
  release("go-a");
  release("go-b");
  release("go-c");
  run_until_idle();
  // They were started in order; which of them wrote first is the scheduler's choice.
  EXPECT_THAT(notes(), UnorderedElementsAre("a", "b", "c"));
  const auto started = log_.take();
  ASSERT_EQ(started.size(), 3u);
  EXPECT_TRUE(started[0].starts_with("a: ") && started[1].starts_with("b: ") &&
              started[2].starts_with("c: "));
}

TEST_F(ImpatientCommandsTest, WaitBehindThoseThatHangIsLoggedOnce) {
  for (size_t i = 0; i < Commands::kMostAtOnce; ++i) run(format("lane %zu", i), wait_for("go"));
  run("lane 0", "exit 1");  // waits for its own lane alone
  turn_some_times();
  EXPECT_THAT(log_.take(), ::testing::SizeIs(32));

  run("ssh", ":");
  run("web", ":");
  turn_some_times();
  EXPECT_THAT(log_.take(), ElementsAre("ssh: command waits: 32 others are running, and none has "
                                       "ended for 0 s"));
  run("mail", ":");
  turn_some_times();
  EXPECT_THAT(log_.take(), IsEmpty());
  release("go");
  run_until_idle();
}

TEST_F(CommandsTest, StopOvertakesTheStartThatStillRuns) {
  run("ssh", wait_for("go") + "; " + note("start"), 5);
  EXPECT_TRUE(commands_.overtake("ssh", 5));
  run("ssh", note("stop"));
  run_until_noted({"stop"});
  release("go");
  run_until_idle();
  EXPECT_THAT(notes(), ElementsAre("stop", "start"));
}

TEST_F(CommandsTest, AfterAnOvertakingTheLaneIsInOrderAgain) {
  run("ssh", wait_for("go"), 5);
  ASSERT_TRUE(commands_.overtake("ssh", 5));
  run("ssh", wait_for("stop-go") + "; " + note("stop"));
  run("ssh", note("next"));
  EXPECT_EQ(commands_.waiting(), 1u);
  release("go");  // the end of the overtaken one lets nobody past
  run_until([&] { return commands_.running() == 1; });
  EXPECT_EQ(commands_.waiting(), 1u);
  release("stop-go");
  run_until_idle();
  EXPECT_THAT(notes(), ElementsAre("stop", "next"));
}

TEST_F(CommandsTest, OvertakenOnesCountNoLongerAmongThoseAtOnce) {
  const auto lane = [](uint64_t opening) {
    return format("lane %llu", static_cast<unsigned long long>(opening));
  };
  const uint64_t last = Commands::kMostAtOnce;
  for (uint64_t opening = 1; opening <= last; ++opening)
    run(lane(opening), wait_for("go"), opening);
  run(lane(1), note("stop"));
  EXPECT_EQ(commands_.running(), 32u);
  EXPECT_EQ(commands_.waiting(), 1u);
  EXPECT_TRUE(commands_.overtake(lane(1), 1));
  EXPECT_EQ(commands_.running(), 33u);
  run_until_noted({"stop"});
  run_until([&] { return commands_.running() == 32; });  // it was heard, too, that the stop ended
  run("another", wait_for("go"));
  EXPECT_EQ(commands_.running(), 33u);
  run("waits", note("waits"));
  EXPECT_EQ(commands_.waiting(), 1u) << "31 that hang, and the other";
  release("go");
  run_until_idle();
}

TEST_F(CommandsTest, TellsSinceWhenAStartRuns) {
  EXPECT_EQ(commands_.running_since("ssh", 5), std::nullopt);
  const Instant before = loop_.now();
  run("ssh", wait_for("go"), 5);
  EXPECT_EQ(commands_.running_since("ssh", 5), before);
  EXPECT_EQ(commands_.running_since("ssh", 6), std::nullopt);
  EXPECT_EQ(commands_.running_since("web", 5), std::nullopt);
  commands_.overtake("ssh", 5);
  EXPECT_EQ(commands_.running_since("ssh", 5), std::nullopt);
  release("go");
  run_until_idle();
}

TEST_F(CommandsTest, OnlyTheOpeningsOwnStartIsOvertaken) {
  EXPECT_FALSE(commands_.overtake("ssh", 5));
  run("ssh", wait_for("go"), 4);
  EXPECT_FALSE(commands_.overtake("ssh", 5));
  EXPECT_FALSE(commands_.overtake("web", 4));
  release("go");
  run_until_idle();
  EXPECT_FALSE(commands_.overtake("ssh", 4));
}

TEST_F(CommandsTest, ChildOfSomeoneElseIsNoneOfOurs) { EXPECT_FALSE(commands_.child_ended(1, 0)); }

// As a user who may have no process at first, and then may.
TEST_F(CommandsTest, FailedForkIsTriedAgain_InOrder_AndLoggedOnce) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become a user without processes";
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  const std::string said = in_child([this] {
    rlimit limit{};
    getrlimit(RLIMIT_NPROC, &limit);
    const auto set_most = [hardest = limit.rlim_max](rlim_t most) {
      const rlimit changed{std::min(most, hardest), hardest};
      return setrlimit(RLIMIT_NPROC, &changed) == 0;
    };
    set_most(0);
    if (setgroups(0, nullptr) != 0 || setuid(54322) != 0) return std::string("not another user");
    run("ssh", note("ssh"));
    run("web", note("web"));
    std::string text =
        format("%zu running, %zu waiting\n", commands_.running(), commands_.waiting());
    if (!set_most(RLIM_INFINITY)) return std::string("no limit again");
    run_until_idle();
    for (const std::string& line : log_.take()) text += line + '\n';
    for (const std::string& word : notes()) text += word + ' ';
    return text;
  });
  // Both orders of writing are right, as they are of different lanes.
  const std::string expected =
      "0 running, 2 waiting\n"
      "ssh: running command: " +
      note("ssh") +
      "\n"
      "ssh: command could not be started: Resource temporarily unavailable; trying again\n"
      "web: running command: " +
      note("web") + "\n";
  EXPECT_THAT(said, ::testing::AnyOf(expected + "ssh web ", expected + "web ssh "));
}

}  // namespace
}  // namespace knockd
