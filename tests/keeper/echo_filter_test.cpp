// SPDX-License-Identifier: MIT
#include "knockd/keeper/echo_filter.h"

#include <gtest/gtest.h>

#include <chrono>

namespace knockd {
namespace {

using std::chrono::milliseconds;

constexpr uint32_t kEth0 = 2;
constexpr uint32_t kEth1 = 3;
constexpr Instant kStart{std::chrono::hours(1)};

KnockEvent open_of(const char* source, DoorNumber door = 0) {
  return {.kind = EventKind::kOpen,
          .stage = 3,
          .door = door,
          .source = IpAddress::parse(source).value()};
}

TEST(EchoFilterTest, SameEventOnAnotherInterfaceIsAnEcho) {
  EchoFilter filter;
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.1"), kEth0, kStart));
  EXPECT_TRUE(filter.is_echo(open_of("192.0.2.1"), kEth1, kStart));
  EXPECT_TRUE(filter.is_echo(open_of("192.0.2.1"), kEth1, kStart + milliseconds(499)));
}

TEST(EchoFilterTest, SameEventOnTheSameInterfaceIsAnotherKnock) {
  EchoFilter filter;
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.1"), kEth0, kStart));
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.1"), kEth0, kStart));
  EXPECT_TRUE(filter.is_echo(open_of("192.0.2.1"), kEth1, kStart));
}

TEST(EchoFilterTest, OtherDoorsStagesAndAddressesAreNotEchoes) {
  EchoFilter filter;
  KnockEvent stage = open_of("192.0.2.1");
  stage.kind = EventKind::kStage;
  stage.stage = 2;
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.1"), kEth0, kStart));
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.2"), kEth1, kStart));
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.1", 1), kEth1, kStart));
  EXPECT_FALSE(filter.is_echo(stage, kEth1, kStart));
  KnockEvent elsewhere = open_of("192.0.2.1");
  elsewhere.destination = IpAddress::parse("198.51.100.1").value();
  EXPECT_FALSE(filter.is_echo(elsewhere, kEth1, kStart));
}

TEST(EchoFilterTest, LateRepetitionIsAnotherKnock) {
  EchoFilter filter;
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.1"), kEth0, kStart));
  EXPECT_FALSE(filter.is_echo(open_of("192.0.2.1"), kEth1, kStart + milliseconds(500)));
}

}  // namespace
}  // namespace knockd
