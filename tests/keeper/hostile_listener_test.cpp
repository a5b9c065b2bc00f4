// SPDX-License-Identifier: MIT
// A compromised listener tries to fill the log and to keep the keeper busy. Its messages are
// well-formed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/keeper/keeper_run.h"

namespace knockd {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::Not;

constexpr int kMany = 5000;
constexpr DoorNumber kDoor = 0;
constexpr DoorNumber kUsedUp = 1;
const std::string kEnded = "any: the listener sent an invalid message: killed, starting another";

KnockEvent event(EventKind kind, DoorNumber door, uint8_t stage, uint32_t generation = 0) {
  KnockEvent event;
  event.kind = kind;
  event.stage = stage;
  event.door = door;
  event.generation = generation;
  event.source = IpAddress::parse("192.0.2.7").value();
  return event;
}

class HostileListener : public ::testing::Test {
 protected:
  HostileListener() {
    Door door;
    door.name = "door";
    door.rule.sequence = {{7000}, {8000}, {9000}};
    keeper_.config().doors.push_back(door);
    door.name = "used up";
    door.rule.sequence = {};
    door.one_time_file = keeper_.folder() / "list";
    write_file(door.one_time_file, "#000,8000,9000\n");
    keeper_.config().doors.push_back(door);
  }

  // The listener sends these again and again once it has reported that it listens. Returns the log
  // between start and end.
  std::vector<std::string> lines_after(const std::vector<FromListener>& messages) {
    EXPECT_EQ(keeper_.run([&](const ListenerSettings&, const Channel& channel) {
      channel.send_waiting(encode(FromListener(Listening{1})));
      for (int i = 0; i < kMany; ++i) {
        for (const FromListener& message : messages) {
          if (!channel.send_waiting(encode(message))) return;
        }
      }
    }),
              0);
    std::vector<std::string> lines = keeper_.lines();
    std::erase(lines, "starting up, listening on any");
    std::erase(lines, "shutting down");
    std::erase_if(lines, [](const auto& line) { return line.starts_with("used up: no more"); });
    return lines;
  }
  void expect_ended_at_once(const std::vector<FromListener>& messages) {
    EXPECT_THAT(lines_after(messages), ElementsAre(kEnded));
  }

  KeeperRun keeper_;
};

TEST_F(HostileListener, IsEnded_WhenItSendsAnUnrequestedStatus) {
  expect_ended_at_once({ListenerStatus{1, 2, 3, 0}});
}

TEST_F(HostileListener, IsEnded_WhenItsFilterFlips) {
  expect_ended_at_once({Listening{1}, Listening{0}});
}

TEST_F(HostileListener, IsEnded_WhenItExplainsUnasked) {
  Explanation explanation;
  explanation.packet.source = IpAddress::parse("192.0.2.7").value();
  explanation.packet.protocol = Protocol::kTcp;
  expect_ended_at_once({explanation});
}

TEST_F(HostileListener, IsEnded_WhenItReportsTroubleOfAStart) {
  for (const CaptureTrouble kind : {CaptureTrouble::kNoPermission, CaptureTrouble::kSandbox}) {
    expect_ended_at_once({Trouble{kind, {'x'}}});
    keeper_.forget();
  }
}

TEST_F(HostileListener, IsEnded_WhenItOpensADoorThatIsUsedUp) {
  expect_ended_at_once({event(EventKind::kOpen, kUsedUp, 3)});
}

TEST_F(HostileListener, IsEnded_WhenItReportsAFutureSequence) {
  expect_ended_at_once({event(EventKind::kOpen, kDoor, 3, 1)});
}

TEST_F(HostileListener, IsEnded_WhenItOpensTooEarly) {
  expect_ended_at_once({event(EventKind::kOpen, kDoor, 2)});
}

TEST_F(HostileListener, IsEnded_WhenTheSourceIsNotAHost) {
  KnockEvent open = event(EventKind::kOpen, kDoor, 3);
  open.source = IpAddress::parse("0.0.0.0").value();
  expect_ended_at_once({open});
}

TEST_F(HostileListener, LinesAboutLeftOutLinesAreLimitedToOneASecond) {
  const auto lines = lines_after({LeftOut{1, 0}, LeftOut{UINT64_MAX, 0}});
  EXPECT_THAT(lines, Each(EndsWith(" left out, more than 20 a second (Log_Rate)")));
  EXPECT_GE(lines.size(), 1U);
  EXPECT_LE(static_cast<double>(lines.size()), keeper_.seconds() + 1);
}

TEST_F(HostileListener, StagesAndTimeoutsAreRateLimited) {
  const auto lines = lines_after(
      {event(EventKind::kStage, kDoor, 1), LeftOut{1, 0}, event(EventKind::kTimeout, kDoor, 2)});
  EXPECT_THAT(lines, Each(Not(kEnded)));
  EXPECT_LE(static_cast<double>(lines.size()),
            (keeper_.config().bounds.log_rate + 1) * (keeper_.seconds() + 1));
}

}  // namespace
}  // namespace knockd
