// SPDX-License-Identifier: MIT
#include "knockd/keeper/line_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LineRateTest : public ::testing::Test {
 protected:
  LineRateTest() {
    rate_.set_limit(2);
    pass(0s);
  }
  int allowed_of(int lines) {
    int allowed = 0;
    for (int i = 0; i < lines; ++i) allowed += rate_.allows() ? 1 : 0;
    return allowed;
  }
  void pass(Duration time) {
    now_ += time;
    loop_.poll();
  }

  static inline Instant now_{1h};
  EventLoop loop_{+[] { return now_; }};
  RecordingLog log_;
  LineRate rate_{loop_, log_};
};

TEST_F(LineRateTest, AllowsTheRate_AndCountsTheRestAtTheEndOfTheSecond) {
  EXPECT_EQ(allowed_of(5), 2);
  pass(999ms);
  EXPECT_THAT(log_.take(), IsEmpty());
  pass(1ms);
  EXPECT_THAT(log_.take(), ElementsAre("3 log lines left out, more than 2 a second (Log_Rate)"));
  EXPECT_EQ(allowed_of(5), 2);
  pass(1h);
  EXPECT_THAT(log_.take(), ElementsAre("3 log lines left out, more than 2 a second (Log_Rate)"));
  pass(1h);
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(LineRateTest, OneLineIsSingular) {
  allowed_of(3);
  pass(1s);
  EXPECT_THAT(log_.take(), ElementsAre("1 log line left out, more than 2 a second (Log_Rate)"));
}

// A listener has more to report than the keeper accepts.
TEST_F(LineRateTest, LeftOutLinesAreReported_EvenWithoutALimit) {
  rate_.set_limit(0);
  rate_.add_left_out(7);
  pass(0s);
  EXPECT_THAT(log_.take(), ElementsAre("7 log lines left out, too many at once"));
}

TEST_F(LineRateTest, LinesLeftOutByListenersAreReportedOnceASecond) {
  for (int tenth = 0; tenth < 10; ++tenth) {
    rate_.add_left_out(1);
    pass(100ms);
  }
  EXPECT_THAT(log_.take(), ElementsAre("1 log line left out, more than 2 a second (Log_Rate)"));
  pass(100ms);
  EXPECT_THAT(log_.take(), ElementsAre("9 log lines left out, more than 2 a second (Log_Rate)"));
}

TEST_F(LineRateTest, OwnLinesAndThoseOfListenersAreOneReport) {
  allowed_of(3);
  rate_.add_left_out(1);
  pass(999ms);
  EXPECT_THAT(log_.take(), IsEmpty());
  pass(1ms);
  EXPECT_THAT(log_.take(), ElementsAre("2 log lines left out, more than 2 a second (Log_Rate)"));
}

TEST_F(LineRateTest, AListenerThatLeftNothingOutIsNotReported) {
  rate_.add_left_out(0);
  pass(1s);
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(LineRateTest, WithoutALimitNothingIsLeftOut) {
  rate_.set_limit(0);
  EXPECT_EQ(allowed_of(1000), 1000);
  pass(1h);
  EXPECT_THAT(log_.take(), IsEmpty());
}

}  // namespace
}  // namespace knockd
