// SPDX-License-Identifier: MIT
#include "knockd/message/settings.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <vector>

namespace knockd {
namespace {

ListenerSettings some_settings() {
  ListenerSettings settings;
  settings.interface = "eth0";
  DoorRule door;
  door.sequence = {{7000, Protocol::kTcp}, {8000, Protocol::kUdp}};
  door.flags = {.wanted = 2, .excluded = 16};
  door.seq_timeout = std::chrono::milliseconds(1500);
  door.seq_cooldown = std::chrono::hours(1);
  door.target = IpAddress::parse("2001:db8::5");
  settings.doors = {door, DoorRule(), door};
  settings.doors[2].sequence.assign(kMaxKnocks, {65535, Protocol::kTcp});
  settings.doors[2].target.reset();
  settings.generations = {1, 0, 0xffffffff};
  settings.doors[2].places = {0b1010, true};
  settings.doors[2].codes = {{{40001, 40102}, {3, 4}}, {{40002, 40103}, {5, 0xffff}}};
  settings.doors[0].places = {0b1, false};
  settings.doors[0].codes = {{{10081}, {}}};
  settings.own_addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")};
  settings.bounds.scan_limit = 7;
  settings.bounds.max_sources = 1234;
  settings.bounds.log_rate = 9;
  settings.only_v4 = true;
  settings.explain = true;
  return settings;
}

TEST(ListenerSettings, ArriveUnchanged) {
  EXPECT_EQ(decode_settings(*encode(some_settings())), some_settings());
  ListenerSettings few;
  few.interface = "any";
  EXPECT_EQ(decode_settings(*encode(few)), few);
}

TEST(ListenerSettings, EachWrongLengthIsRefused) {
  const std::vector<uint8_t> right = *encode(some_settings());
  for (size_t length = 0; length <= right.size() + 300; ++length) {
    std::vector<uint8_t> bytes = right;
    bytes.resize(length);
    EXPECT_EQ(decode_settings(bytes).has_value(), length == right.size()) << length;
  }
}

// For any byte value, accepted settings are within bounds.
TEST(ListenerSettings, NoByteLeadsOutOfBounds) {
  const std::vector<uint8_t> right = *encode(some_settings());
  for (size_t at = 0; at < right.size(); ++at) {
    for (const int value : {0, 1, 2, 33, 127, 128, 255}) {
      std::vector<uint8_t> bytes = right;
      bytes[at] = static_cast<uint8_t>(value);
      const auto settings = decode_settings(bytes);
      if (!settings) continue;
      EXPECT_FALSE(settings->interface.empty());
      EXPECT_LE(settings->interface.size(), kLongestInterfaceName);
      EXPECT_EQ(settings->doors.size(), settings->generations.size());
      for (const DoorRule& door : settings->doors) {
        EXPECT_LE(door.sequence.size(), kMaxKnocks);
        EXPECT_GE(door.seq_timeout.count(), 0);
        for (const Knock& knock : door.sequence) EXPECT_NE(knock.port, 0);
        EXPECT_LE(door.places.count(), kMostCodePlaces);
        EXPECT_LE(std::bit_width(door.places.places), static_cast<int>(door.sequence.size()));
      }
      const auto again = encode(*settings);
      ASSERT_TRUE(again) << at;
      EXPECT_EQ(again->size(), bytes.size()) << at << ": something was left over";
    }
  }
}

TEST(ListenerSettings, OutOfBoundsSettingsAreNotHandedOver) {
  ListenerSettings settings = some_settings();
  settings.interface = "";
  EXPECT_EQ(encode(settings), std::nullopt);
  settings.interface = std::string(kLongestInterfaceName + 1, 'x');
  EXPECT_EQ(encode(settings), std::nullopt);
  settings.interface.pop_back();
  EXPECT_NE(encode(settings), std::nullopt);
  settings.doors[0].sequence.assign(kMaxKnocks + 1, {1, Protocol::kTcp});
  EXPECT_EQ(encode(settings), std::nullopt);
  settings = some_settings();
  settings.doors[0].codes.resize(kMostCodes + 1);
  EXPECT_EQ(encode(settings), std::nullopt);
  settings = some_settings();
  settings.generations.pop_back();
  EXPECT_EQ(encode(settings), std::nullopt);
}

}  // namespace
}  // namespace knockd
