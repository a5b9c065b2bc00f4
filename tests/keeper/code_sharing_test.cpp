// SPDX-License-Identifier: MIT
#include "knockd/keeper/code_sharing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/control/turning_loop.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CodeSharingTest : public ::testing::Test, protected TurningLoop {
 protected:
  // The openings since the last call.
  std::vector<uint64_t> opened() { return std::exchange(opened_, {}); }
  void expect_one_warning() {
    EXPECT_THAT(log_.take(), ElementsAre("the fleet did not take a code within 300 ms: doors open "
                                         "without it until it does"));
  }

  RecordingLog log_;
  std::vector<uint64_t> opened_;
  CodeSharing sharing_{loop_, log_, [this](uint64_t opening) { opened_.push_back(opening); }};
};

TEST_F(CodeSharingTest, WithoutAFleetNoOpeningWaits) {
  sharing_.wait_for(1);
  EXPECT_THAT(opened(), ElementsAre(1));
}

TEST_F(CodeSharingTest, EachOpeningWaitsForItsOwnCode) {
  sharing_.share(true);
  sharing_.wait_for(1);
  sharing_.wait_for(2);
  sharing_.shared(2);
  EXPECT_THAT(opened(), ElementsAre(2));
  sharing_.shared(2);
  sharing_.shared(99);
  pass(299ms);
  EXPECT_THAT(opened(), IsEmpty());
  sharing_.shared(1);
  EXPECT_THAT(opened(), ElementsAre(1));
  pass(1s);
  EXPECT_THAT(opened(), IsEmpty());
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(CodeSharingTest, CodeThatOpensNothingIsNotWaitedFor) {
  sharing_.share(true);
  sharing_.wait_for(0);
  EXPECT_THAT(opened(), ElementsAre(0));
  pass(1s);
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(CodeSharingTest, HungFleetIsWaitedForOnce) {
  sharing_.share(true);
  sharing_.wait_for(1);
  pass(200ms);
  sharing_.wait_for(2);
  pass(100ms);
  EXPECT_THAT(opened(), ElementsAre(1, 2)) << "the second with the first";
  expect_one_warning();
  sharing_.wait_for(3);
  EXPECT_THAT(opened(), ElementsAre(3));
  sharing_.shared(1);
  sharing_.wait_for(4);
  EXPECT_THAT(opened(), IsEmpty()) << "it works again";
  pass(300ms);
  EXPECT_THAT(opened(), ElementsAre(4));
  expect_one_warning();
}

TEST_F(CodeSharingTest, WaitOfTheNextOpeningBeginsWithItsKnock) {
  sharing_.share(true);
  sharing_.wait_for(1);
  pass(200ms);
  sharing_.wait_for(2);
  sharing_.shared(1);
  pass(299ms);
  EXPECT_THAT(opened(), ElementsAre(1));
  pass(1ms);
  EXPECT_THAT(opened(), ElementsAre(2));
}

TEST_F(CodeSharingTest, WaitingOpeningsOpen_WhenSharingEnds_WithoutALogLine) {
  sharing_.share(true);
  sharing_.wait_for(1);
  sharing_.wait_for(2);
  sharing_.share(false);
  EXPECT_THAT(opened(), ElementsAre(1, 2));
  sharing_.wait_for(3);
  EXPECT_THAT(opened(), ElementsAre(3));
  pass(1s);
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(CodeSharingTest, AnotherFleetIsWaitedForAgain) {
  sharing_.share(true);
  sharing_.wait_for(1);
  pass(300ms);
  sharing_.share(false);
  sharing_.share(true);
  opened();
  sharing_.wait_for(2);
  EXPECT_THAT(opened(), IsEmpty());
}

}  // namespace
}  // namespace knockd
