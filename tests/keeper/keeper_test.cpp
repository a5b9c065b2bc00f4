// SPDX-License-Identifier: MIT
// A whole keeper: signals, start and end. Its listener sends what the test wants; tests/e2e has
// real ones.
#include "knockd/keeper/keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "tests/keeper/keeper_run.h"

namespace knockd {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() {
    Door door;
    door.name = "door";
    door.rule.sequence = {{7000}, {8000}};
    keeper_.config().doors.push_back(door);
  }
  static void listen(const Channel& channel) {
    channel.send_waiting(encode(FromListener(Listening{1})));
  }
  static void stage(const Channel& channel, int times = 1) {
    KnockEvent event;
    event.stage = 1;
    event.door = 0;
    event.source = event.destination = IpAddress::parse("192.0.2.7").value();
    for (int i = 0; i < times; ++i) channel.send_waiting(encode(FromListener(event)));
  }
  // Sent to the keeper by its listener; handled once the keeper reads again.
  static void signal_keeper(int signal) { kill(getppid(), signal); }
  // Waits until the keeper has logged a line with this beginning.
  void wait_for_line(const std::string& beginning) {
    for (int i = 0; i < 10'000; ++i) {
      for (const std::string& line : keeper_.lines()) {
        if (line.starts_with(beginning)) return;
      }
      usleep(1000);
    }
    std::fprintf(stderr, "not logged within 10 s: %s\n", beginning.c_str());
  }
  // Until so many listeners have begun, 10 s at most: the test says what it found.
  void wait_for_starts(int starts) {
    for (int i = 0; i < 10'000 && keeper_.starts() < starts; ++i) usleep(1000);
  }

  KeeperRun keeper_;
};

TEST_F(KeeperTest, LogsOnceThatItListens_AndThatItExits) {
  EXPECT_EQ(keeper_.run([](const ListenerSettings&, const Channel& channel) { listen(channel); }),
            0);
  EXPECT_THAT(keeper_.lines(), ElementsAre("starting up, listening on any", "shutting down"));
}

TEST_F(KeeperTest, ListenersKnowDoorsAndBounds) {
  keeper_.config().bounds.scan_limit = 7;
  keeper_.config().bounds.max_sources = 100;
  keeper_.config().bounds.log_rate = 3;
  keeper_.options().only_v4 = true;
  keeper_.options().debug = true;
  // It is a separate process, so it reports each finding by a stage.
  keeper_.run([](const ListenerSettings& settings, const Channel& channel) {
    listen(channel);
    const bool right = settings.interface == "any" && settings.doors.size() == 1 &&
                       settings.doors[0].sequence == Sequence{{7000}, {8000}} &&
                       settings.generations == std::vector<uint32_t>{0} &&
                       settings.bounds.scan_limit == 7 && settings.bounds.max_sources == 100 &&
                       settings.bounds.log_rate == 3 && settings.only_v4 && settings.explain;
    if (right) stage(channel);
  });
  EXPECT_THAT(keeper_.lines(), Contains("192.0.2.7: door: Stage 1"));
}

TEST_F(KeeperTest, StagesAreLimitedToTheConfiguredRate) {
  keeper_.config().bounds.log_rate = 3;
  keeper_.run([](const ListenerSettings&, const Channel& channel) {
    listen(channel);
    stage(channel, 40);
  });
  EXPECT_LE(std::ranges::count(keeper_.lines(), "192.0.2.7: door: Stage 1"),
            3 * (static_cast<int>(keeper_.seconds()) + 2));
}

TEST_F(KeeperTest, FaultyConfigurationIsReported_AndTheOldOneStays) {
  keeper_.run(
      [this](const ListenerSettings&, const Channel& channel) {
        listen(channel);
        wait_for_line("starting up");
        signal_keeper(SIGHUP);
        wait_for_line("the configuration is faulty");
        stage(channel);
      },
      [] {
        ConfigError error;
        error.complaints.emplace_back();
        return Result<Config, ConfigError>(std::move(error));
      });
  const auto lines = keeper_.lines();
  EXPECT_THAT(lines, Contains("the configuration is faulty, the old one stays in force"));
  EXPECT_THAT(lines, Contains("192.0.2.7: door: Stage 1"));
  EXPECT_EQ(keeper_.starts(), 1);
}

TEST_F(KeeperTest, ReloadOfTheSameDoorsDisturbsNoListener) {
  keeper_.run([this](const ListenerSettings&, const Channel& channel) {
    listen(channel);
    wait_for_line("starting up");
    signal_keeper(SIGHUP);
    wait_for_line("re-opening log file");
    stage(channel);
  });
  EXPECT_THAT(keeper_.lines(), Contains("192.0.2.7: door: Stage 1"));
  EXPECT_EQ(keeper_.starts(), 1);
}

// For the second listener the test is over.
class KeeperReloadTest : public KeeperTest, public ::testing::WithParamInterface<int> {};

TEST_P(KeeperReloadTest, OtherDoorsOrBoundsStartNewListeners) {
  Config other = keeper_.config();
  if (GetParam() == 0) other.doors[0].rule.sequence = {{7000}, {9000}};
  if (GetParam() == 1) other.bounds.scan_limit = 9;
  if (GetParam() == 2) other.bounds.max_sources = 9;
  if (GetParam() == 3) other.bounds.log_rate = 9;
  if (GetParam() == 4) other.doors.push_back(other.doors[0]);
  other.log_file = keeper_.config().log_file;
  keeper_.run(
      [this](const ListenerSettings&, const Channel& channel) {
        listen(channel);
        wait_for_line("starting up");
        signal_keeper(SIGHUP);
        wait_for_line("re-opening log file");
        pollfd end{channel.fd(), 0, 0};
        poll(&end, 1, 5000);
        wait_for_starts(2);  // the next end of a listener ends the test
      },
      [other] { return other; });
  EXPECT_EQ(keeper_.starts(), 2);
}
INSTANTIATE_TEST_SUITE_P(, KeeperReloadTest, ::testing::Range(0, 5));

TEST_F(KeeperTest, StatusCountsDoorsAndCommands) {
  keeper_.run([this](const ListenerSettings&, const Channel& channel) {
    listen(channel);
    wait_for_line("starting up");
    signal_keeper(SIGUSR1);
    wait_for_line("status: up");
  });
  EXPECT_THAT(keeper_.lines(),
              Contains(HasSubstr("; 1 door, 0 open; 0 commands running, 0 waiting")));
}

TEST_F(KeeperTest, MissingCapabilitiesAtTheStartEndIt_WithStatus1) {
  EXPECT_EQ(keeper_.run([](const ListenerSettings&, const Channel& channel) {
    channel.send_waiting(encode(FromListener(Trouble{CaptureTrouble::kNoPermission, {'n', 'o'}})));
  }),
            1);
  EXPECT_THAT(keeper_.lines(), Contains(StartsWith("any: no right to capture packets")));
  EXPECT_THAT(keeper_.lines(), Not(Contains(StartsWith("starting up"))));
}

// The case of many listeners killed at once.
TEST_F(KeeperTest, ReapsAllEndedChildren_AfterOneSignal) {
  std::vector<pid_t> ended(200);
  for (pid_t& pid : ended) {
    pid = fork();
    if (pid == 0) _exit(0);
    ASSERT_GT(pid, 0);
    siginfo_t info;
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  }
  const auto is_left = [](pid_t pid) { return kill(pid, 0) == 0; };
  keeper_.run([&](const ListenerSettings&, const Channel& channel) {
    listen(channel);
    signal_keeper(SIGCHLD);
    for (int i = 0; i < 10'000 && std::ranges::any_of(ended, is_left); ++i) usleep(1000);
  });
  EXPECT_EQ(std::ranges::count_if(ended, is_left), 0);
  for (const pid_t pid : ended) waitpid(pid, nullptr, WNOHANG);
}

TEST_F(KeeperTest, OnStartRunsOnceItListens_OnStopBeforeItExits) {
  keeper_.config().on_start = "true on_start";
  const std::string left = keeper_.folder() / "left";
  keeper_.config().on_stop = "sleep 0.2; echo >" + left;
  EXPECT_EQ(keeper_.run([](const ListenerSettings&, const Channel& channel) { listen(channel); }),
            0);
  EXPECT_THAT(
      keeper_.lines(),
      ElementsAre("starting up, listening on any", "On_Start: running command: true on_start",
                  "shutting down", "On_Stop: running command: sleep 0.2; echo >" + left));
  EXPECT_EQ(read_file(left), "\n") << "On_Stop is not waited for";
}

TEST_F(KeeperTest, FaultyStartClosesOverdueDoors_AndCountsTheOthers) {
  {
    StateFile earlier(keeper_.config().state_file, read_boot_id(), [](const auto&) {});
    earlier.open(Moment::now());
    OpenDoor door;
    door.door = "door";
    door.source = IpAddress::parse("192.0.2.7").value();
    for (const char* const stop : {"true due", "true later"}) {
      ++door.id;
      door.stop_command = stop;
      door.deadline = Moment::now().boot + std::chrono::hours(door.id == 1 ? 0 : 1);
      earlier.opened(door, Moment::now());
    }
    earlier.flush(Moment::now());
  }
  keeper_.close_what_is_due();
  EXPECT_THAT(keeper_.lines(), Contains("door: running command: true due"));
  EXPECT_THAT(keeper_.lines(), Not(Contains("door: running command: true later")));
  EXPECT_THAT(keeper_.lines(), Contains("1 door stays open until a start without errors"));
}

}  // namespace
}  // namespace knockd
