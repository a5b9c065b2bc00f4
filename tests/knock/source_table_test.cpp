// SPDX-License-Identifier: MIT
#include "knockd/knock/source_table.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace knockd {

static_assert(SourceTable::bytes_per_source(4) <= 144);  // on 32 bits, too
static_assert(sizeof(SourceTable::Entry) <= 64);

namespace {

using namespace std::chrono_literals;
using Number = SourceTable::Number;
using Names = std::vector<std::string>;

constexpr Instant kStart{1000s};

// A table, with tests that read as a story. Sources are numbers; an entry's name is "source@door".
class SourceTableTest : public testing::Test {
 protected:
  void make(const SourceTable::Limits& limits) {
    table_.emplace(limits, HashKey{1, 2});
    short_ = table_->add_lifetime(5s);
    long_ = table_->add_lifetime(20s);
  }
  static IpAddress address(uint32_t number) {
    return IpAddress::from_v4(std::array<uint8_t, 4>{10, static_cast<uint8_t>(number >> 16),
                                                     static_cast<uint8_t>(number >> 8),
                                                     static_cast<uint8_t>(number)});
  }
  SourceTable& table() { return *table_; }
  Number begin(uint32_t source, DoorNumber door = 0) {
    return table().begin(table().place_of(address(source)), door, short_, now);
  }
  Number begin_long(uint32_t source, DoorNumber door = 0) {
    return table().begin(table().place_of(address(source)), door, long_, now);
  }
  Number advanced(uint32_t source, int stage, DoorNumber door = 0) {
    const Number number = begin(source, door);
    for (int i = 0; i < stage; ++i) table().advance(number);
    return number;
  }
  Number first_of(uint32_t source) { return table().first_of(table().place_of(address(source))); }
  bool knows(uint32_t source) { return first_of(source) != 0; }
  std::vector<int> doors_of(uint32_t source) {
    std::vector<int> doors;
    for (Number number = first_of(source); number != 0; number = table().next_of(number)) {
      EXPECT_EQ(table()[number].place.source, address(source));
      doors.push_back(table()[number].door);
    }
    return doors;
  }
  Names expire() {
    Names names;
    table().expire(now, [&](const SourceTable::Entry& entry) {
      names.push_back(std::to_string(entry.place.source.bytes()[15]) + "@" +
                      std::to_string(entry.door) + " at " + std::to_string(entry.stage));
    });
    return names;
  }

  Instant now = kStart;
  SourceTable::Lifetime short_ = 0;
  SourceTable::Lifetime long_ = 0;

 private:
  std::optional<SourceTable> table_;
};

TEST_F(SourceTableTest, KnowsNobodyAtFirst) {
  make({.sources = 4, .entries = 4});
  EXPECT_FALSE(knows(1));
  EXPECT_EQ(table().sources(), 0u);
  EXPECT_EQ(table().next_expiry(), std::nullopt);
  EXPECT_EQ(expire(), Names{});
}

TEST_F(SourceTableTest, AnEntryBeginsAtStageNone) {
  make({.sources = 4, .entries = 4, .scan_ports = 1});
  const Number number = begin(1, 7);
  EXPECT_EQ(first_of(1), number);
  EXPECT_EQ(table()[number].place.source, address(1));
  EXPECT_EQ(table()[number].door, 7);
  EXPECT_EQ(table()[number].stage, 0);
  table().advance(number);
  table().advance(number);
  EXPECT_EQ(table()[number].stage, 2);
  EXPECT_EQ(table().sources(), 1u);
}

// With few buckets most sources share theirs, with any key.
TEST_F(SourceTableTest, FindsEachOfManySources_AndNoOther) {
  make({.sources = 1000, .entries = 1000});
  std::vector<Number> numbers;
  for (uint32_t source = 0; source < 1000; ++source) numbers.push_back(begin(source));
  for (uint32_t source = 0; source < 1000; ++source) {
    EXPECT_EQ(first_of(source), numbers[source]);
    EXPECT_EQ(table().next_of(numbers[source]), 0u);
  }
  for (uint32_t source = 1000; source < 2000; ++source) EXPECT_FALSE(knows(source));
  for (uint32_t source = 0; source < 1000; source += 2) table().remove(numbers[source]);
  EXPECT_EQ(table().sources(), 500u);
  for (uint32_t source = 0; source < 1000; ++source) EXPECT_EQ(knows(source), source % 2 != 0);
}

TEST_F(SourceTableTest, FindsTheOthersOfABucket_WhenASourceLosesItsFirstEntry_OrAll) {
  make({.sources = 1000, .entries = 2000});
  for (const DoorNumber door : {DoorNumber{0}, DoorNumber{1}}) {
    for (uint32_t source = 0; source < 1000; ++source) begin(source, door);
  }
  for (uint32_t source = 0; source < 1000; source += 2) table().remove(first_of(source));
  for (uint32_t source = 0; source < 1000; ++source) {
    EXPECT_EQ(doors_of(source), source % 2 == 0 ? std::vector{1} : (std::vector{0, 1})) << source;
  }
  for (uint32_t source = 0; source < 1000; source += 2) table().remove(first_of(source));
  EXPECT_EQ(table().sources(), 500u);
  for (uint32_t source = 0; source < 1000; ++source) EXPECT_EQ(knows(source), source % 2 != 0);
}

TEST_F(SourceTableTest, SpreadsSourcesOverAllBuckets) {
  make({.sources = 1000, .entries = 1000});
  std::vector<int> sources_in(2000);
  for (uint32_t source = 0; source < 100'000; ++source) {
    ++sources_in.at(table().place_of(address(source)).bucket);  // 50 on average
  }
  for (const int sources : sources_in) {
    EXPECT_GT(sources, 5);
    EXPECT_LT(sources, 200);
  }
}

TEST_F(SourceTableTest, BucketsDependOnTheKey) {
  const SourceTable one({.sources = 1'000'000, .entries = 1'000'000}, HashKey{1, 2});
  const SourceTable two({.sources = 1'000'000, .entries = 1'000'000}, HashKey{1, 3});
  EXPECT_NE(one.place_of(address(1)).bucket, two.place_of(address(1)).bucket);
}

TEST_F(SourceTableTest, EntriesOfASourceKeepTheirOrder) {
  make({.sources = 4, .entries = 8});
  for (const DoorNumber door : {DoorNumber{3}, DoorNumber{1}, DoorNumber{2}}) begin(1, door);
  begin(2, 9);
  EXPECT_EQ(doors_of(1), (std::vector{3, 1, 2}));
  begin(1, 3);  // anew
  EXPECT_EQ(doors_of(1), (std::vector{1, 2, 3}));
  table().remove(table().next_of(first_of(1)));
  EXPECT_EQ(doors_of(1), (std::vector{1, 3}));
}

TEST_F(SourceTableTest, CountsSources_NotEntries) {
  make({.sources = 4, .entries = 8});
  const Number one = begin(1, 0);
  const Number two = begin(1, 1);
  begin(1, 1);
  begin(2, 0);
  EXPECT_EQ(table().sources(), 2u);
  table().remove(one);
  EXPECT_EQ(table().sources(), 2u);
  table().remove(two);
  EXPECT_EQ(table().sources(), 1u);
  EXPECT_FALSE(knows(1));
}

// ---- room ----

TEST_F(SourceTableTest, MakesRoom_ForOneMoreSource_ByTheOldestOfTheLowestStage) {
  make({.sources = 4, .entries = 8});
  advanced(1, 2);
  advanced(2, 1);
  advanced(3, 1);
  advanced(4, 2);
  advanced(5, 1);
  EXPECT_FALSE(knows(2));
  advanced(6, 3);
  EXPECT_FALSE(knows(3));
  advanced(7, 3);
  EXPECT_FALSE(knows(5));
  advanced(8, 3);
  EXPECT_FALSE(knows(1));
  for (const uint32_t source : {4u, 6u, 7u, 8u}) EXPECT_TRUE(knows(source)) << source;
  EXPECT_EQ(table().sources(), 4u);
}

TEST_F(SourceTableTest, CountsTheAgeInAStage_FromWhenItWasReached) {
  make({.sources = 2, .entries = 2});
  const Number one = advanced(1, 1);
  advanced(2, 2);
  table().advance(one);
  begin(3);
  EXPECT_FALSE(knows(2));
}

TEST_F(SourceTableTest, DropsEntriesThatEndedFirst) {
  make({.sources = 2, .entries = 2});
  advanced(1, 1);
  table().end(advanced(2, 3), long_, now);
  advanced(3, 1);
  EXPECT_FALSE(knows(2));
  EXPECT_TRUE(knows(1));
}

TEST_F(SourceTableTest, MakesNoRoom_ForAnotherEntryOfAKnownSource) {
  make({.sources = 2, .entries = 4});
  begin(1, 0);
  begin(2, 0);
  begin(1, 1);
  begin(2, 1);
  EXPECT_EQ(table().sources(), 2u);
  EXPECT_EQ(doors_of(1), (std::vector{0, 1}));
  begin(2, 2);  // but there are no more entries
  EXPECT_EQ(doors_of(1), (std::vector{1}));
  begin(2, 1);  // and this takes none
  EXPECT_EQ(doors_of(1), (std::vector{1}));
}

TEST_F(SourceTableTest, MakesRoomRepeatedly_WhenSourcesHaveSeveralEntries) {
  make({.sources = 1, .entries = 3});
  for (const DoorNumber door : {DoorNumber{0}, DoorNumber{1}, DoorNumber{2}}) begin(1, door);
  begin(2);
  EXPECT_FALSE(knows(1));
  EXPECT_EQ(table().sources(), 1u);
}

TEST_F(SourceTableTest, UsesRemovedEntriesAgain) {
  make({.sources = 3, .entries = 3});
  for (uint32_t round = 0; round < 10; ++round) {
    for (uint32_t source = 0; source < 3; ++source) advanced(3 * round + source, 1);
    EXPECT_EQ(table().sources(), 3u);
    for (uint32_t source = 0; source < 3; ++source) table().remove(first_of(3 * round + source));
    EXPECT_EQ(table().sources(), 0u);
  }
}

TEST_F(SourceTableTest, RemovesAttemptsAtOneDoorOnly) {
  make({.sources = 4, .entries = 8});
  advanced(1, 1, 0);
  advanced(1, 1, 1);
  begin(2, 1);  // stage 0
  advanced(4, 2, 1);
  table().remove(advanced(3, 1, 1));  // and not once more
  table().remove_attempts_at(1, [](SourceTable::Number) { return false; });
  EXPECT_EQ(doors_of(1), (std::vector{0}));
  EXPECT_TRUE(knows(2));
  EXPECT_FALSE(knows(4));
  EXPECT_EQ(table().sources(), 2u);
}

// ---- age ----

TEST_F(SourceTableTest, ExpiresTheOldestOfALifetimeFirst) {
  make({.sources = 8, .entries = 8});
  begin_long(1);
  advanced(2, 2);
  now += 1s;
  begin(3);
  EXPECT_EQ(table().next_expiry(), kStart + 5s);
  now = kStart + 5s - 1ms;
  EXPECT_EQ(expire(), Names{});
  now = kStart + 5s;
  EXPECT_EQ(expire(), (Names{"2@0 at 2"}));
  EXPECT_EQ(table().next_expiry(), kStart + 6s);
  now = kStart + 20s;
  EXPECT_EQ(expire(), (Names{"3@0 at 0", "1@0 at 0"}));
  EXPECT_EQ(table().next_expiry(), std::nullopt);
  EXPECT_EQ(table().sources(), 0u);
}

TEST_F(SourceTableTest, AnAdvanceLeavesTheAge_AndAnEndBeginsAnother) {
  make({.sources = 8, .entries = 8});
  const Number advancing = begin(1);
  const Number ending = advanced(2, 1);
  now += 4s;
  table().advance(advancing);
  table().end(ending, long_, now);
  EXPECT_EQ(table()[ending].stage, 0);
  now += 1s;
  EXPECT_EQ(expire(), (Names{"1@0 at 1"}));
  EXPECT_EQ(table().next_expiry(), kStart + 24s);
  now = kStart + 24s;
  EXPECT_EQ(expire(), (Names{"2@0 at 0"}));
}

TEST_F(SourceTableTest, AnEntryThatBeginsAnew_IsYoung) {
  make({.sources = 8, .entries = 8});
  const Number number = advanced(1, 1);
  table().end(number, long_, now);
  now += 19s;
  EXPECT_EQ(begin(1), number);
  EXPECT_EQ(table().sources(), 1u);
  now += 4s;
  EXPECT_EQ(expire(), Names{});
  now += 1s;
  EXPECT_EQ(expire(), (Names{"1@0 at 0"}));
}

TEST_F(SourceTableTest, OneDurationIsOneLifetime) {
  make({.sources = 1, .entries = 1});
  EXPECT_EQ(table().add_lifetime(5s), short_);
  EXPECT_EQ(table().add_lifetime(20s), long_);
  EXPECT_NE(short_, long_);
  EXPECT_NE(table().add_lifetime(6s), short_);
}

// ---- segments and scan ports ----

TEST_F(SourceTableTest, KnowsTheLastSixteenSegments) {
  make({.sources = 2, .entries = 2});
  const Number number = begin(1);
  const Number other = begin(2);
  EXPECT_FALSE(table().knows_segment(number, 0));
  for (uint32_t segment = 0; segment < 100; ++segment) {
    table().add_segment(number, segment);
    for (uint32_t known = 0; known < 102; ++known) {
      EXPECT_EQ(table().knows_segment(number, known), known <= segment && known + 16 > segment)
          << segment << ' ' << known;
    }
  }
  EXPECT_FALSE(table().knows_segment(other, 99));
}

TEST_F(SourceTableTest, KeepsSegments_WhenAnEntryBeginsAnew_AndNotWhenItWasRemoved) {
  make({.sources = 2, .entries = 2});
  const Number number = begin(1);
  table().add_segment(number, 5);
  table().add_segment(number, 6);
  EXPECT_EQ(begin(1), number);
  EXPECT_TRUE(table().knows_segment(number, 5));
  EXPECT_TRUE(table().knows_segment(number, 6));
  table().remove(number);
  EXPECT_EQ(begin(1), number);
  EXPECT_FALSE(table().knows_segment(number, 5));
  EXPECT_FALSE(table().knows_segment(number, 6));
  table().add_segment(number, 7);
  table().add_segment(number, 8);
  EXPECT_FALSE(table().knows_segment(number, 5));
}

TEST_F(SourceTableTest, HasRoomForALimitedNumberOfScanPorts_PerEntry) {
  make({.sources = 2, .entries = 2, .scan_ports = 2});
  const Number one = begin(1);
  const Number two = begin(2);
  for (const Number number : {one, two}) {
    EXPECT_TRUE(table().add_scan_port(number, 80));
    EXPECT_TRUE(table().add_scan_port(number, 443));
    EXPECT_TRUE(table().add_scan_port(number, 80));
    EXPECT_FALSE(table().add_scan_port(number, 22));
    EXPECT_TRUE(table().add_scan_port(number, 443));
  }
  begin(1);  // anew
  EXPECT_TRUE(table().add_scan_port(one, 22));
  EXPECT_FALSE(table().add_scan_port(two, 22));
}

TEST_F(SourceTableTest, ForgetsScanPorts_WithTheEntry) {
  make({.sources = 1, .entries = 1, .scan_ports = 1});
  const Number number = begin(1);
  EXPECT_TRUE(table().add_scan_port(number, 80));
  table().remove(number);
  EXPECT_EQ(begin(2), number);
  EXPECT_TRUE(table().add_scan_port(number, 22));
}

}  // namespace
}  // namespace knockd
