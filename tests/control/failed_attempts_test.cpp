// SPDX-License-Identifier: MIT
#include "knockd/control/failed_attempts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knockd {
namespace {

FailedAttempt attempt(int source, unsigned stage) {
  FailedAttempt attempt;
  attempt.source = IpAddress::parse("192.0.2." + std::to_string(source)).value();
  attempt.stage = stage;
  return attempt;
}

class FailedAttemptsTest : public ::testing::Test {
 protected:
  std::vector<std::string> all() const {
    std::vector<std::string> texts;
    for (const FailedAttempt& one : attempts_.all()) {
      texts.push_back(one.source.to_string() + " " + std::to_string(one.stage));
    }
    return texts;
  }
  FailedAttempts attempts_;
};

TEST_F(FailedAttemptsTest, TheLastFiftyAreKept) {
  for (int i = 0; i < 60; ++i) attempts_.add(attempt(i, 2));
  EXPECT_EQ(attempts_.all().size(), 50u);
  EXPECT_EQ(all().front(), "192.0.2.10 2");
  EXPECT_EQ(all().back(), "192.0.2.59 2");
}

TEST_F(FailedAttemptsTest, KeepsAtMostTenThatEndedAtTheirFirstKnock) {
  attempts_.add(attempt(200, 2));
  for (int i = 0; i < 100; ++i) attempts_.add(attempt(i, 1));
  attempts_.add(attempt(201, 3));
  ASSERT_EQ(attempts_.all().size(), 12u);
  EXPECT_EQ(all().front(), "192.0.2.200 2");
  EXPECT_EQ(all()[1], "192.0.2.90 1");
  EXPECT_EQ(all()[10], "192.0.2.99 1");
  EXPECT_EQ(all().back(), "192.0.2.201 3");
}

TEST_F(FailedAttemptsTest, RefusedKnocksCountAsEndedAtTheirFirstKnock) {
  attempts_.add(attempt(200, 2));
  for (int i = 0; i < 100; ++i) attempts_.add(attempt(i, 0));
  attempts_.add(attempt(99, 0));
  ASSERT_EQ(attempts_.all().size(), 11u);
  EXPECT_EQ(all().front(), "192.0.2.200 2");
}

TEST_F(FailedAttemptsTest, KeepsOneOfThemForEachSource_TheLast) {
  attempts_.add(attempt(1, 1));
  attempts_.add(attempt(2, 1));
  attempts_.add(attempt(1, 1));
  attempts_.add(attempt(1, 2));
  attempts_.add(attempt(1, 2));
  EXPECT_THAT(all(),
              ::testing::ElementsAre("192.0.2.2 1", "192.0.2.1 1", "192.0.2.1 2", "192.0.2.1 2"));
}

TEST(FailedAttempt, NamesTheReason) {
  FailedAttempt attempt;
  attempt.came = Knock{7000, Protocol::kTcp};
  attempt.expected = Knock{8000, Protocol::kUdp};
  EXPECT_EQ(reason_text(attempt), "wrong knock tcp 7000, expected udp 8000");
  attempt.expected.reset();
  EXPECT_EQ(reason_text(attempt), "wrong knock tcp 7000");
  attempt.end = AttemptEnd::kPortScan;
  EXPECT_EQ(reason_text(attempt), "port scan");
  attempt.end = AttemptEnd::kTooSlow;
  EXPECT_EQ(reason_text(attempt), "too slow");
  attempt.expected = Knock{9000, Protocol::kTcp};
  EXPECT_EQ(reason_text(attempt), "too slow, expected tcp 9000");
  attempt.end = AttemptEnd::kRefused;
  attempt.refused = "64 commands wait";
  EXPECT_EQ(reason_text(attempt), "refused: 64 commands wait");
}

}  // namespace
}  // namespace knockd
