// SPDX-License-Identifier: MIT
#include "knockd/fleet/clocks.h"

#include <gtest/gtest.h>

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Clocks kNow{Instant(seconds(100)), WallTime(seconds(1766000000))};

TEST(Clocks, EndIsAsFarAwayByBoth_WithinLimits) {
  EXPECT_EQ(kNow.end_of(kNow.wall + milliseconds(1500)), kNow.boot + milliseconds(1500));
  EXPECT_EQ(kNow.end_of(kNow.wall - seconds(1)), kNow.boot);
  EXPECT_EQ(kNow.end_of(kNow.wall + kLongestTime + seconds(1)), kNow.boot + kLongestTime);
}

// The broker must not drop a message while it still holds a door open.
TEST(Clocks, ExpiryIsRoundedUp_AndAtLeastASecond) {
  EXPECT_EQ(kNow.expiry_of(kNow.wall + seconds(2)), 2);
  EXPECT_EQ(kNow.expiry_of(kNow.wall + milliseconds(2001)), 3);
  EXPECT_EQ(kNow.expiry_of(kNow.wall), 1);
  EXPECT_EQ(kNow.expiry_of(kNow.wall - seconds(5)), 1);
  EXPECT_EQ(kNow.expiry_of(kNow.wall + kLongestTime + seconds(1)), kLongestTime / seconds(1));
}

}  // namespace
}  // namespace knockd
