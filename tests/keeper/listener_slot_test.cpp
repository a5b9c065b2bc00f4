// SPDX-License-Identifier: MIT
#include "knockd/keeper/listener_slot.h"

#include <gtest/gtest.h>

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

class ListenerSlotTest : public ::testing::Test {
 protected:
  // How long it waits after a listener that lived so long.
  Duration pause_after(Duration life) {
    slot_.listens(now_);
    now_ += life;
    slot_.retry_later(now_);
    return *slot_.retry_at - now_;
  }

  Instant now_{minutes(5)};
  ListenerSlot slot_{"eth0"};
};

TEST_F(ListenerSlotTest, PausesGrow_UntilAListenerHasLivedLong) {
  EXPECT_EQ(pause_after(milliseconds(1)), ListenerSlot::kFirstPause);
  EXPECT_GT(pause_after(milliseconds(1)), ListenerSlot::kFirstPause);
  EXPECT_EQ(pause_after(minutes(1)), ListenerSlot::kFirstPause);
}

TEST_F(ListenerSlotTest, StartsAgainAfterThePause_NotBefore) {
  EXPECT_TRUE(slot_.may_start(now_));
  slot_.retry_later(now_, milliseconds(50));
  EXPECT_TRUE(slot_.dismissed);
  EXPECT_FALSE(slot_.may_start(now_ + milliseconds(49)));
  EXPECT_TRUE(slot_.may_start(now_ + milliseconds(50)));
}

TEST_F(ListenerSlotTest, ReportSaysWhyItWaits) {
  EXPECT_EQ(slot_.report(now_).waits_because, "it is about to be listened to");
  slot_.waiting_for = "eth0 is down";
  EXPECT_EQ(slot_.report(now_).waits_because, "eth0 is down");
  slot_.listens(now_);
  EXPECT_EQ(slot_.report(now_ + minutes(1)).waits_because, "");
  EXPECT_EQ(slot_.report(now_ + minutes(1)).age, minutes(1));
}

}  // namespace
}  // namespace knockd
