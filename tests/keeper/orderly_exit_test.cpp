// SPDX-License-Identifier: MIT
#include "knockd/keeper/orderly_exit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "knockd/base/text.h"
#include "tests/keeper/door_keeper_fixture.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OrderlyExitTest : public DoorKeeperFixture {
 protected:
  void SetUp() override {
    DoorKeeperFixture::SetUp();
    knock(ssh());
    turn();
    end("open 192.0.2.7");
    take_journal();
  }
  void begin(bool close, const std::string& on_stop) {
    exit_.emplace(*loop_, log_, *keeper_, [this] { is_out_ = true; });
    exit_->begin(close, on_stop);
    turn();
  }
  void end_one(const std::string& command) {
    end(command);
    exit_->go_on();
    turn();
  }

  bool is_out_ = false;
  std::optional<OrderlyExit> exit_;
};

TEST_F(OrderlyExitTest, ClosesDoors_ThenRunsOnStop_ThenIsOut) {
  begin(true, "goodbye");
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
  end_one("close 192.0.2.7");
  EXPECT_THAT(take_commands(), ElementsAre("run goodbye"));
  EXPECT_FALSE(is_out_);
  end_one("goodbye");
  EXPECT_TRUE(is_out_);
}

TEST_F(OrderlyExitTest, ClosesAllDoors_AlsoThoseThatDoNotFitInATurn) {
  constexpr int kMany = 1500;
  for (int i = 0; i < kMany; ++i) knock(ssh_port(), format("10.0.%d.%d", i / 250, i % 250));
  turn();
  ASSERT_EQ(keeper_->open_doors(), kMany + 1);
  begin(true, "");
  for (int turns = 0; turns < 10; ++turns) turn();
  EXPECT_EQ(keeper_->open_doors(), 1) << "its stop command runs";
  end_one("close 192.0.2.7");
  EXPECT_TRUE(is_out_);
}

TEST_F(OrderlyExitTest, LeavesDoorsOpen_WhenTheyAreKept) {
  begin(false, "");
  EXPECT_THAT(take_commands(), IsEmpty());
  EXPECT_TRUE(is_out_);
  EXPECT_EQ(keeper_->open_doors(), 1);
}

TEST_F(OrderlyExitTest, DoesNotWaitForHungCommands) {
  begin(true, "goodbye");
  take_commands();
  EXPECT_FALSE(exit_->is_overdue());
  pass(OrderlyExit::kLongest);
  EXPECT_THAT(take_commands(), ElementsAre("run goodbye"));
  EXPECT_TRUE(is_out_);
  EXPECT_TRUE(log_.has("1 door could not be closed in time, the next start takes it up"));
}

TEST_F(OrderlyExitTest, RunsNothing_WhenItLeavesAtOnce) {
  exit_.emplace(*loop_, log_, *keeper_, [this] { is_out_ = true; });
  exit_->go_on();
  EXPECT_FALSE(is_out_) << "it has not begun";
  exit_->leave_at_once();
  EXPECT_TRUE(is_out_);
  exit_->go_on();
  turn();
  EXPECT_THAT(take_commands(), IsEmpty());
}

}  // namespace
}  // namespace knockd
