// SPDX-License-Identifier: MIT
// A keeper with a door whose codes are typed, and what its listener says of wrong ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <string>
#include <vector>

#include "knockd/code/used_codes.h"
#include "tests/keeper/keeper_run.h"

namespace knockd {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class KeeperCodes : public ::testing::Test {
 protected:
  KeeperCodes() {
    Door door;
    door.name = "door";
    door.rule.sequence = {{7000}, {40000}, {40100}, {40200}, {40300}};
    door.rule.places = {.places = 0b11110, .typed = true};
    door.users.push_back({"alice", *Secret::parse("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")});
    keeper_.config().doors.push_back(door);
  }

  // What is logged when the listener tells of a complete knock with the code of this step.
  std::vector<std::string> lines_after_opening(uint8_t wrong_codes_untold) {
    EXPECT_EQ(keeper_.run([=](const ListenerSettings& settings, const Channel& channel) {
      KnockEvent open;
      open.kind = EventKind::kOpen;
      open.stage = 5;
      open.door = 0;
      open.generation = settings.generations.front();
      open.source = IpAddress::parse("192.0.2.7").value();
      open.code = code_tag(0, step_at(time(nullptr)), true);
      open.wrong_codes_untold = wrong_codes_untold;
      channel.send_waiting(encode(FromListener(Listening{1})));
      channel.send_waiting(encode(FromListener(open)));
    }),
              0);
    return keeper_.lines();
  }

  KeeperRun keeper_;
};

TEST_F(KeeperCodes, OpensForACodeOfThisStep) {
  EXPECT_THAT(lines_after_opening(0), Contains("192.0.2.7: door: OPEN SESAME"));
}

// The keeper is in the new step before the listener, which counts those of the old one.
TEST_F(KeeperCodes, TakesNoTypedCode_WhenOthersThatWereWrongMayHaveGoneUntold) {
  const auto lines = lines_after_opening(1);
  EXPECT_THAT(lines, Contains(HasSubstr("refused: too many wrong codes in this step")));
  EXPECT_THAT(lines, Not(Contains("192.0.2.7: door: OPEN SESAME")));
}

}  // namespace
}  // namespace knockd
