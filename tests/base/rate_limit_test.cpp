// SPDX-License-Identifier: MIT
#include "knockd/base/rate_limit.h"

#include <gtest/gtest.h>

namespace knockd {
namespace {

using namespace std::chrono_literals;

Instant at(Duration since_boot) { return Instant(since_boot); }

TEST(RateLimit, AllowsTheLimitInEachSecond) {
  RateLimit rate(2);
  EXPECT_TRUE(rate.allow(at(10s)));
  EXPECT_TRUE(rate.allow(at(10s)));
  EXPECT_FALSE(rate.allow(at(10s)));
  EXPECT_FALSE(rate.allow(at(10'999ms)));
  EXPECT_TRUE(rate.allow(at(11s)));
}

TEST(RateLimit, SecondBeginsWithTheFirstAllowedEvent) {
  RateLimit rate(1);
  EXPECT_TRUE(rate.allow(at(10'700ms)));
  EXPECT_FALSE(rate.allow(at(11'600ms)));
  EXPECT_EQ(rate.window_end(), at(11'700ms));
  EXPECT_TRUE(rate.allow(at(11'700ms)));
  EXPECT_EQ(rate.window_end(), at(12'700ms));
}

TEST(RateLimit, FirstIsAllowed_RightAfterBoot) {
  RateLimit rate(1);
  EXPECT_TRUE(rate.allow(at(0s)));
  EXPECT_FALSE(rate.allow(at(1ms)));
}

TEST(RateLimit, ZeroIsNoLimit) {
  RateLimit rate(0);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(rate.allow(at(10s)));
  EXPECT_EQ(rate.refused(), 0u);
}

TEST(RateLimit, CountsItsRefusals_AndThoseOfOthers) {
  RateLimit rate(1);
  rate.allow(at(10s));
  rate.allow(at(10s));
  rate.allow(at(10s));
  rate.add_refused(5);
  EXPECT_EQ(rate.refused(), 7u);
  EXPECT_EQ(rate.take_refused(), 7u);
  EXPECT_EQ(rate.take_refused(), 0u);
}

TEST(RateLimit, CountStaysAtTheLargestNumber) {
  RateLimit rate(1);
  rate.add_refused(3);
  rate.add_refused(UINT64_MAX - 1);
  EXPECT_EQ(rate.refused(), UINT64_MAX);
}

TEST(RateLimit, RefusalsAreKeptAfterTheirSecond) {
  RateLimit rate(1);
  rate.allow(at(10s));
  rate.allow(at(10s));
  rate.allow(at(20s));
  EXPECT_EQ(rate.take_refused(), 1u);
}

}  // namespace
}  // namespace knockd
