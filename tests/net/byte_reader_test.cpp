// SPDX-License-Identifier: MIT
#include "knockd/net/byte_reader.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace knockd {
namespace {

using Failure = ByteReader::Failure;

constexpr std::array<uint8_t, 8> kBytes = {0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88};

TEST(ByteReader, NumbersAreInNetworkOrder) {
  ByteReader reader(kBytes);
  EXPECT_EQ(reader.u8(), 0x81);
  EXPECT_EQ(reader.u16(), 0x8283);
  EXPECT_EQ(reader.u32(), 0x84858687U);
  EXPECT_EQ(reader.remaining(), 1U);
  EXPECT_TRUE(reader.ok());
}

TEST(ByteReader, TakenBytesAreThoseOfTheBuffer) {
  ByteReader reader(kBytes);
  reader.skip(2);
  EXPECT_EQ(reader.take(3).data(), kBytes.data() + 2);
  EXPECT_EQ(reader.take<2>().data(), kBytes.data() + 5);
}

TEST(ByteReader, EverythingCanBeRead) {
  ByteReader reader(kBytes);
  EXPECT_EQ(reader.take(8).size(), 8U);
  EXPECT_TRUE(reader.take(0).empty());
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReader, FailedReadsGiveZeros) {
  ByteReader reader{std::span(kBytes).first(3)};
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_EQ(reader.failure(), Failure::kPastEnd);
  const auto bytes = reader.take<4>();
  EXPECT_EQ(std::vector<uint8_t>(bytes.begin(), bytes.end()), std::vector<uint8_t>(4));
}

TEST(ByteReader, NothingIsRead_AfterAFailure) {
  ByteReader reader(kBytes);
  reader.skip(9);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_EQ(reader.remaining(), 0U);
  EXPECT_TRUE(reader.take(1).empty());
}

TEST(ByteReader, HugeSizesDoNotWrapAround) {
  ByteReader reader(kBytes);
  reader.skip(1);
  reader.skip(std::numeric_limits<size_t>::max());
  EXPECT_EQ(reader.failure(), Failure::kPastEnd);
}

TEST(ByteReader, LimitHidesWhatFollows) {
  ByteReader reader(kBytes);
  reader.skip(1);
  reader.set_limit(3);
  EXPECT_EQ(reader.remaining(), 3U);
  EXPECT_EQ(reader.u16(), 0x8283);
  EXPECT_EQ(reader.limit(), 1U);
  EXPECT_EQ(reader.u16(), 0);
  EXPECT_EQ(reader.failure(), Failure::kPastLimit);
}

TEST(ByteReader, LimitMayExceedTheBytes) {
  ByteReader reader{std::span(kBytes).first(3)};
  reader.set_limit(100);
  EXPECT_EQ(reader.remaining(), 3U);
  EXPECT_EQ(reader.u16(), 0x8182);
  EXPECT_EQ(reader.limit(), 98U);
  reader.skip(2);
  EXPECT_EQ(reader.failure(), Failure::kPastEnd);
}

TEST(ByteReader, LimitOnlyBecomesNarrower) {
  ByteReader reader(kBytes);
  EXPECT_EQ(reader.limit(), ByteReader::kNoLimit);
  reader.set_limit(4);
  reader.set_limit(6);
  EXPECT_EQ(reader.limit(), 4U);
  reader.set_limit(2);
  EXPECT_EQ(reader.limit(), 2U);
}

TEST(ByteReader, FirstFailureIsKept) {
  ByteReader reader(kBytes);
  reader.skip(9);
  reader.set_limit(0);
  reader.u8();
  EXPECT_EQ(reader.failure(), Failure::kPastEnd);
}

TEST(ByteReader, EmptyBufferHasNothing) {
  ByteReader reader({});
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_EQ(reader.failure(), Failure::kPastEnd);
}

}  // namespace
}  // namespace knockd
