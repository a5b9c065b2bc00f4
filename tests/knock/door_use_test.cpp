// SPDX-License-Identifier: MIT
#include "knockd/knock/door_use.h"

#include <gtest/gtest.h>

#include <chrono>

namespace knockd {
namespace {

const IpAddress kAlice = *IpAddress::parse("192.0.2.7");
const IpAddress kBob = *IpAddress::parse("2001:db8::b");

TEST(DoorUse, OneMoreThanTheMostIsTooMany) {
  DoorUse door(1);
  door.add_opening();
  EXPECT_EQ(door.too_many_open(1), "");
  door.add_opening();
  EXPECT_EQ(door.too_many_open(1), "1 opening is open (Max_Open)");
  door.remove_opening();
  EXPECT_EQ(door.too_many_open(1), "");
  for (int i = 0; i < 3; ++i) door.add_start(kAlice);
  EXPECT_EQ(door.too_many_starts(3), "");
  EXPECT_EQ(door.too_many_starts(2), "2 commands wait");
}

TEST(DoorUse, SourceMayHaveAQuarterOfThePlacesThatOthersLeave) {
  DoorUse door(1);
  for (int i = 0; i < 4; ++i) door.add_start(kAlice);
  EXPECT_EQ(door.too_many_starts_of(kAlice, 16), "");
  door.add_start(kBob);
  EXPECT_EQ(door.too_many_starts_of(kAlice, 16), "too many commands of one source wait")
      << "a quarter of 15";
  EXPECT_EQ(door.too_many_starts_of(kAlice, 17), "");
}

TEST(DoorUse, SourceMayHaveOneStartAtLeast) {
  DoorUse door(1);
  door.add_start(kAlice);
  EXPECT_EQ(door.too_many_starts_of(kAlice, 1), "");
  door.add_start(kBob);
  EXPECT_EQ(door.too_many_starts_of(kBob, 2), "");
  door.add_start(kBob);
  EXPECT_EQ(door.too_many_starts_of(kBob, 3), "too many commands of one source wait");
}

// A million forged sources must leave nothing behind.
TEST(DoorUse, SourceIsForgottenWithItsLastStart) {
  DoorUse door(1);
  door.add_start(kAlice);
  door.add_start(kAlice);
  door.add_start(kBob);
  door.remove_start(kBob);
  EXPECT_EQ(door.starting_sources(), 1u);
  door.remove_start(kAlice);
  EXPECT_EQ(door.starting_sources(), 1u);
  door.remove_start(kAlice);
  EXPECT_EQ(door.starting_sources(), 0u);
}

TEST(DoorUse, CoolsUntilTheEndOfItsCooldown) {
  using std::chrono::seconds;
  DoorUse door(1);
  EXPECT_FALSE(door.is_cooling(Instant(seconds(0))));
  door.cool_until(Instant(seconds(5)));
  EXPECT_TRUE(door.is_cooling(Instant(seconds(4))));
  EXPECT_FALSE(door.is_cooling(Instant(seconds(5))));
}

}  // namespace
}  // namespace knockd
