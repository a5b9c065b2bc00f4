// SPDX-License-Identifier: MIT
#include "knockd/fleet/shared_place.h"

#include <gtest/gtest.h>

#include <chrono>

namespace knockd {
namespace {

using std::chrono::seconds;

Instant at(int64_t time) { return Instant(seconds(time)); }

class SharedPlaceTest : public ::testing::Test {
 protected:
  void hold(const std::string& gateway, uint64_t id, int64_t end, int64_t since = 0) {
    place_.held[gateway] = {id, seconds(end), at(end), at(since), ""};
    quota_.count(gateway);
  }

  SenderQuota quota_;
  SharedPlace place_;
};

TEST_F(SharedPlaceTest, NothingHolds_WhenNothingIsKnown) {
  EXPECT_TRUE(place_.is_empty());
  EXPECT_EQ(place_.longest_hold(seconds(60), "us").end, Instant());
  EXPECT_EQ(place_.open_until(), Instant());
}

TEST_F(SharedPlaceTest, HoldOfOthersEndsWithTheTimeOfTheDoor) {
  hold("gw2", 1, 1000, 10);
  hold("gw3", 1, 50, 0);
  const auto hold = place_.longest_hold(seconds(60), "us");
  EXPECT_EQ(hold.end, at(70));
  EXPECT_EQ(hold.gateway, "gw2");
}

TEST_F(SharedPlaceTest, OpeningHereHolds_UnlessItIsTheFleetsOrWasClosed) {
  place_.here[1] = {seconds(90), at(90), at(90), "anna", true};
  place_.here[2] = {seconds(80), at(80), at(80), "bert", false};
  EXPECT_EQ(place_.longest_here(seconds(0)), 2);
  EXPECT_EQ(place_.longest_here(seconds(80)), std::nullopt);
  EXPECT_EQ(place_.longest_hold(seconds(60), "us").user, "bert");
  EXPECT_EQ(place_.open_until(), at(90));
  place_.closer = "gw2";
  place_.shut = seconds(80);
  EXPECT_EQ(place_.longest_hold(seconds(60), "us").end, Instant());
}

TEST_F(SharedPlaceTest, CloseOfAllThatIsHeldMarksIt_ForAsLongAsItWouldHaveLasted) {
  hold("gw2", 7, 100);
  hold("gw3", 8, 200);
  const auto last = place_.last_end({seconds(150), at(150)});
  EXPECT_EQ(last.boot, at(200));
  place_.mark_held("us", last.boot, quota_);
  EXPECT_TRUE(place_.held.empty());
  EXPECT_TRUE(place_.is_closed("gw2", 7));
  EXPECT_FALSE(place_.is_closed("gw2", 8));
  EXPECT_EQ(place_.next_end(), at(200));
  EXPECT_EQ(quota_.all(), 2) << "both marks are of one closer";
  place_.forget_over(at(199), quota_);
  EXPECT_FALSE(place_.is_empty());
  place_.forget_over(at(200), quota_);
  EXPECT_TRUE(place_.is_empty());
  EXPECT_EQ(quota_.all(), 0);
}

TEST_F(SharedPlaceTest, ReleaseSparesALaterMessage) {
  hold("gw2", 7, 100);
  place_.release("gw2", 6, quota_);
  place_.release("gw3", 7, quota_);
  EXPECT_EQ(quota_.all(), 1);
  place_.release("gw2", 7, quota_);
  EXPECT_EQ(quota_.all(), 0);
}

}  // namespace
}  // namespace knockd
