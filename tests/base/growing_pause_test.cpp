// SPDX-License-Identifier: MIT
#include "knockd/base/growing_pause.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace knockd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(GrowingPause, DoublesUpToTheLongest_UntilItIsReset) {
  GrowingPause pause(100ms, 1s);
  for (const Duration expected : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    EXPECT_EQ(pause.next(), expected);
  }
  EXPECT_EQ(pause.failures(), 6u);
  pause.reset();
  EXPECT_EQ(pause.failures(), 0u);
  EXPECT_EQ(pause.next(), 100ms);
}

TEST(GrowingPause, FailuresAreLogged_AtPowersOfTwo) {
  GrowingPause pause(100ms, 1s);
  std::vector<uint64_t> told;
  for (int i = 0; i < 8640; ++i) {
    pause.next();
    if (pause.is_worth_a_line()) told.push_back(pause.failures());
  }
  EXPECT_THAT(told, ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192));
}

}  // namespace
}  // namespace knockd
