// SPDX-License-Identifier: MIT
// Doors that open and are closed again, with real commands and a state file. Where time must pass,
// a door's time is zero or so long that it does not come.
#include "knockd/keeper/door_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/keeper/command_fixture.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

const IpAddress kAlice = IpAddress::parse("192.0.2.7").value();
const IpAddress kAlice6 = IpAddress::parse("2001:db8::7").value();
const IpAddress kBob = IpAddress::parse("203.0.113.9").value();

class DoorKeeperTest : public CommandFixture {
 protected:
  void SetUp() override { begin(); }
  // A keeper that takes up what an earlier one left.
  void begin() {
    keeper_.reset();
    keeper_ = std::make_unique<DoorKeeper>(loop_, log_, commands_, [](const IpAddress& source) {
      return "<" + source.to_string() + ">";
    });
    keeper_->take_up(state_file_);
  }
  Door door(Duration cmd_timeout) {
    Door door;
    door.name = "ssh";
    door.start_command = note("start-%IP%");
    door.stop_command = note("stop-%IP%");
    door.cmd_timeout = cmd_timeout;
    return door;
  }
  void open(const Door& door, const IpAddress& source = kAlice) {
    keeper_->open(door, source, "eth0");
  }
  void run_until_shut() {
    run_until([this] { return keeper_->open_doors() == 0; });
    run_until_idle();
  }

  const std::string state_file_ = folder_ / "open-doors";
  std::unique_ptr<DoorKeeper> keeper_;
};

TEST_F(DoorKeeperTest, StartsNow_AndStopsAtItsTime) {
  const Instant opened = loop_.now();
  open(door(30ms));
  EXPECT_EQ(keeper_->open_doors(), 1u);
  run_until_shut();
  EXPECT_GE(BootClock::now() - opened, 30ms);
  EXPECT_THAT(notes(), ElementsAre("start-192.0.2.7", "stop-192.0.2.7"));
  EXPECT_THAT(log_.take(), ElementsAre("ssh: running command: " + note("start-192.0.2.7"),
                                       "<192.0.2.7>: ssh: command timeout",
                                       "ssh: running command: " + note("stop-192.0.2.7")));
}

TEST_F(DoorKeeperTest, WithoutAStopCommandNothingIsOpen) {
  Door plain = door(1h);
  plain.stop_command.clear();
  open(plain);
  EXPECT_EQ(keeper_->open_doors(), 0u);
  run_until_idle();
  EXPECT_THAT(notes(), ElementsAre("start-192.0.2.7"));
}

TEST_F(DoorKeeperTest, WithoutAStartCommandTheStopIsRunAllTheSame) {
  Door stop_only = door(0s);
  stop_only.start_command.clear();
  open(stop_only);
  run_until_shut();
  EXPECT_THAT(notes(), ElementsAre("stop-192.0.2.7"));
}

TEST_F(DoorKeeperTest, IPv6KnockerHasItsOwnCommands) {
  Door both = door(0s);
  both.start_command_6 = note("start6-%IP%");
  both.stop_command_6 = note("stop6-%IP%");
  open(both, kAlice6);
  run_until_shut();
  open(both, kAlice);
  run_until_shut();
  EXPECT_THAT(notes(), ElementsAre("start6-2001:db8::7", "stop6-2001:db8::7", "start-192.0.2.7",
                                   "stop-192.0.2.7"));
}

TEST_F(DoorKeeperTest, EmptyIPv6CommandsRunNothing) {
  Door only_v4 = door(0s);
  only_v4.start_command_6 = only_v4.stop_command_6 = "";
  open(only_v4, kAlice6);
  EXPECT_EQ(keeper_->open_doors(), 0u);
  EXPECT_EQ(commands_.running(), 0u);
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(DoorKeeperTest, CommandsKnowWhoWhereAndWhy) {
  Door told = door(0s);
  told.start_command = told.stop_command =
      "echo $KNOCKD_IP,$KNOCKD_DOOR,$KNOCKD_INTERFACE,"
      "$KNOCKD_EVENT >>" +
      (folder_ / "notes");
  open(told);
  run_until_shut();
  EXPECT_THAT(notes(), ElementsAre("192.0.2.7,ssh,eth0,start", "192.0.2.7,ssh,eth0,stop"));
}

TEST_F(DoorKeeperTest, ReknockRun_StartsAgain_AndStopsForEach) {
  Door twice = door(40ms);
  open(twice);
  open(twice);
  EXPECT_EQ(keeper_->open_doors(), 2u);
  run_until_shut();
  EXPECT_THAT(notes(), ElementsAre("start-192.0.2.7", "start-192.0.2.7", "stop-192.0.2.7",
                                   "stop-192.0.2.7"));
}

TEST_F(DoorKeeperTest, ReknockIgnore_ChangesNothing_ForThisSourceAlone) {
  Door ignoring = door(1h);
  ignoring.reknock = Reknock::kIgnore;
  open(ignoring, kAlice);
  open(ignoring, kAlice);
  open(ignoring, kBob);
  EXPECT_EQ(keeper_->open_doors(), 2u);
  run_until_idle();
  EXPECT_THAT(notes(), testing::UnorderedElementsAre("start-192.0.2.7", "start-203.0.113.9"));
  EXPECT_THAT(log_.take(), Contains("<192.0.2.7>: ssh: already open"));
}

TEST_F(DoorKeeperTest, ReknockExtend_GivesMoreTime) {
  Door extending = door(0s);
  extending.reknock = Reknock::kExtend;
  open(extending);
  extending.cmd_timeout = 1h;
  open(extending);
  run_until_idle();
  EXPECT_EQ(keeper_->open_doors(), 1u);
  EXPECT_THAT(notes(), ElementsAre("start-192.0.2.7"));
  EXPECT_THAT(log_.take(), Contains("<192.0.2.7>: ssh: already open, time extended"));
}

TEST_F(DoorKeeperTest, KnockWhileTheStopRuns_OpensAnew_BehindTheStop) {
  Door extending = door(0s);
  extending.reknock = Reknock::kExtend;
  extending.stop_command = wait_for("go") + "; " + note("stop");
  open(extending);
  run_until_noted({"start-192.0.2.7"});
  run_until([&] { return log_.has("<192.0.2.7>: ssh: command timeout"); });
  extending.cmd_timeout = 1h;
  open(extending);
  release("go");
  run_until_idle();
  EXPECT_THAT(notes(), ElementsAre("start-192.0.2.7", "stop", "start-192.0.2.7"));
  EXPECT_EQ(keeper_->open_doors(), 1u);
}

TEST_F(DoorKeeperTest, StartThatStillRunsIsReported_AndTheStopRunsAllTheSame) {
  Door slow = door(0s);
  slow.start_command = wait_for("go") + "; " + note("start");
  open(slow);
  run_until_noted({"stop-192.0.2.7"});
  EXPECT_THAT(log_.take(),
              Contains("<192.0.2.7>: ssh: the start command is still running; running the stop "
                       "command"));
  release("go");
  run_until_shut();
}

TEST_F(DoorKeeperTest, CloseAllStopsEachOpenDoorNow_Once) {
  open(door(1h), kAlice);
  open(door(1h), kBob);
  keeper_->close_all();
  keeper_->close_all();
  run_until_shut();
  EXPECT_THAT(notes(), testing::UnorderedElementsAre("start-192.0.2.7", "stop-192.0.2.7",
                                                     "start-203.0.113.9", "stop-203.0.113.9"));
  EXPECT_THAT(log_.take(), Not(Contains("<192.0.2.7>: ssh: command timeout")));
}

TEST_F(DoorKeeperTest, StateFileTellsOfTheDoor_BeforeTheStartCommandRuns) {
  Door copying = door(0s);
  copying.start_command = "cp " + state_file_ + ' ' + (folder_ / "copy");
  open(copying);
  run_until_shut();
  EXPECT_THAT(read_file(folder_ / "copy"), ::testing::HasSubstr("192.0.2.7"));
}

TEST_F(DoorKeeperTest, NextKeeperTakesUpWhatIsOpen_WithTheStopCommandOfThatDay) {
  open(door(1h));
  run_until_idle();
  keeper_->leave();
  begin();
  EXPECT_EQ(keeper_->open_doors(), 1u);
  EXPECT_THAT(log_.take(), Contains("1 doors are open since an earlier run"));
  keeper_->close_all();
  run_until_shut();
  EXPECT_THAT(notes(), ElementsAre("start-192.0.2.7", "stop-192.0.2.7"));
  begin();
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, NextKeeperClosesWhatIsOverdue) {
  Door stop_only = door(0s);
  stop_only.start_command.clear();
  open(stop_only);
  begin();  // as after a crash: nobody had the time to close it
  run_until_shut();
  EXPECT_THAT(notes(), ElementsAre("stop-192.0.2.7"));
}

TEST_F(DoorKeeperTest, UnwritableStateFileIsOneComplaint_AndDoorsWorkAllTheSame) {
  DoorKeeper keeper(loop_, log_, commands_, [](const IpAddress& a) { return a.to_string(); });
  keeper.take_up("/proc/none/open-doors");
  EXPECT_THAT(log_.take(), ::testing::SizeIs(1));
  keeper.open(door(0s), kAlice, "eth0");
  run_until([&] { return keeper.open_doors() == 0; });
  EXPECT_THAT(notes(), ElementsAre("start-192.0.2.7", "stop-192.0.2.7"));
}

}  // namespace
}  // namespace knockd
