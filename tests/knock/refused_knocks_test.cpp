// SPDX-License-Identifier: MIT
#include "knockd/knock/refused_knocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace knockd {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Instant at(int64_t time) { return Instant(seconds(time)); }

TEST(RefusedKnocks, FirstIsReportedAtOnce_TheOthersOnceAMinute) {
  RefusedKnocks refused;
  EXPECT_EQ(refused.add("ssh", "too many", at(0)), "ssh: 1 knock refused: too many");
  EXPECT_EQ(refused.next_report(), std::nullopt);
  for (int i = 1; i < 60; ++i) EXPECT_EQ(refused.add("ssh", "too many", at(i)), std::nullopt);
  EXPECT_EQ(refused.next_report(), at(60));
  EXPECT_THAT(refused.due(at(59)), IsEmpty());
  EXPECT_THAT(refused.due(at(60)), ElementsAre("ssh: 59 knocks refused: too many"));
  EXPECT_THAT(refused.due(at(600)), IsEmpty());
  EXPECT_EQ(refused.next_report(), std::nullopt);
}

TEST(RefusedKnocks, DoorsAreReportedOneByOne) {
  RefusedKnocks refused;
  (void)refused.add("ssh", "why", at(0));
  EXPECT_EQ(refused.add("web", "why", at(10)), "web: 1 knock refused: why");
  (void)refused.add("web", "why", at(20));
  (void)refused.add("ssh", "why", at(30));
  EXPECT_EQ(refused.next_report(), at(60));
  EXPECT_THAT(refused.due(at(60)), ElementsAre("ssh: 1 knock refused: why"));
  EXPECT_THAT(refused.due(at(70)), ElementsAre("web: 1 knock refused: why"));
}

TEST(RefusedKnocks, EachReasonHasItsOwnCount) {
  RefusedKnocks refused;
  (void)refused.add("ssh", "why", at(0));
  EXPECT_EQ(refused.add("ssh", "why else", at(1)), "ssh: 1 knock refused: why else");
  for (int i = 0; i < 3; ++i) (void)refused.add("ssh", "why", at(2));
  (void)refused.add("ssh", "why else", at(3));
  EXPECT_THAT(refused.due(at(60)), ElementsAre("ssh: 3 knocks refused: why"));
  EXPECT_THAT(refused.due(at(61)), ElementsAre("ssh: 1 knock refused: why else"));
}

TEST(RefusedKnocks, KnockThatComesBeforeALateReportIsInIt_AndNoneIsReportedTwice) {
  RefusedKnocks refused;
  (void)refused.add("ssh", "why", at(0));
  (void)refused.add("ssh", "why", at(1));
  EXPECT_EQ(refused.add("ssh", "why", at(61)), "ssh: 2 knocks refused: why");
  EXPECT_THAT(refused.due(at(61)), IsEmpty());
  EXPECT_EQ(refused.next_report(), std::nullopt);
  EXPECT_THAT(refused.due(at(121)), IsEmpty());
}

}  // namespace
}  // namespace knockd
