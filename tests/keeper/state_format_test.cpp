// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "knockd/base/crc32c.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using Header = StateContents::Header;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kBoot = "0b3c1f52-6a0e-4d8e-9b41-0123456789ab";
constexpr const char* kOtherBoot = "ffffffff-6a0e-4d8e-9b41-0123456789ab";

Instant at(Duration since_boot) { return Instant(since_boot); }

// A moment of a boot whose wall clock nobody keeps right, and jumps about.
Moment moment(Duration since_boot) {
  return {.boot = at(since_boot), .wall = std::chrono::hours(since_boot.count() % 1000)};
}
// The same with a wall clock that NTP keeps.
Moment kept(Duration since_boot, std::chrono::nanoseconds wall) {
  return {.boot = at(since_boot), .wall = wall, .wall_is_kept = true};
}

OpenDoor door(uint64_t id, Duration deadline) {
  OpenDoor door;
  door.id = id;
  door.door = "ssh";
  door.source = *IpAddress::parse("2001:db8::7");
  door.interface = "eth0";
  door.stop_command = "iptables -D INPUT -s 2001:db8::7 -j ACCEPT";
  door.deadline = at(deadline);
  return door;
}

// A small language for files: Writer().opened(...).closed(...).bytes
struct Writer {
  Bytes bytes;
  explicit Writer(const char* boot = kBoot) { append_state_header(bytes, boot); }
  Writer& opened(const OpenDoor& door, Moment now = moment(1s)) {
    append_opened(bytes, door, now);
    return *this;
  }
  Writer& extended(uint64_t id, Duration deadline, Moment now = moment(2s)) {
    append_extended(bytes, door(id, deadline), now);
    return *this;
  }
  Writer& closed(uint64_t id, Moment now = moment(3s)) {
    append_closed(bytes, door(id, 0s), now);
    return *this;
  }
  Writer& passed(Moment now) {
    append_passed(bytes, now);
    return *this;
  }
  Writer& garbage(const Bytes& garbage) {
    bytes.insert(bytes.end(), garbage.begin(), garbage.end());
    return *this;
  }
};

std::vector<uint64_t> ids(const StateContents& contents) {
  std::vector<uint64_t> ids;
  for (const auto& stored : contents.doors) ids.push_back(stored.door.id);
  return ids;
}

TEST(StateFormatTest, GivesBackWhatWasOpened) {
  const OpenDoor opened = door(7, 10s);
  const auto contents = parse_state(Writer().opened(opened, kept(1s, 99h)).bytes);
  EXPECT_EQ(contents.header, Header::kGood);
  EXPECT_EQ(contents.boot_id, kBoot);
  ASSERT_EQ(contents.doors.size(), 1u);
  EXPECT_EQ(contents.doors[0].door, opened);
  EXPECT_EQ(contents.doors[0].written, at(1s));
  EXPECT_EQ(contents.skipped, 0u);
  ASSERT_TRUE(contents.last);
  EXPECT_EQ(contents.last->wall, 99h);
  EXPECT_TRUE(contents.last->wall_is_kept);
}

TEST(StateFormatTest, KnowsTheSizeOfARecord) {
  Bytes bytes;
  append_opened(bytes, door(1, 1s), moment(0s));
  EXPECT_EQ(bytes.size(), opened_size(door(1, 1s)));
  bytes.clear();
  append_state_header(bytes, kBoot);
  EXPECT_EQ(bytes.size(), kStateHeaderSize);
}

TEST(StateFormatTest, ClosedDoorsAreGone_ExtendedOnesHaveTheirNewDeadline) {
  const auto contents = parse_state(Writer()
                                        .opened(door(1, 10s))
                                        .opened(door(2, 20s))
                                        .opened(door(3, 30s))
                                        .closed(2)
                                        .extended(3, 99s)
                                        .bytes);
  EXPECT_THAT(ids(contents), ElementsAre(1, 3));
  EXPECT_EQ(contents.doors[1].door.deadline, at(99s));
  EXPECT_EQ(contents.doors[1].written, at(2s));
}

TEST(StateFormatTest, RecordsOfUnknownDoorsChangeNothing) {
  const auto contents = parse_state(Writer().closed(4).extended(5, 9s).opened(door(1, 1s)).bytes);
  EXPECT_THAT(ids(contents), ElementsAre(1));
  EXPECT_EQ(contents.records, 3u);
}

TEST(StateFormatTest, OfDoorsWithOneIdOnlyTheOldestIsClosed) {
  const auto contents =
      parse_state(Writer().opened(door(1, 10s)).opened(door(1, 20s)).closed(1).bytes);
  ASSERT_THAT(ids(contents), ElementsAre(1));
  EXPECT_EQ(contents.doors[0].door.deadline, at(20s));
}

TEST(StateFormatTest, EmptyAndZeroedFilesHoldNothing) {
  EXPECT_EQ(parse_state({}).header, Header::kNone);
  const Bytes zeros(4096, 0);
  EXPECT_EQ(parse_state(zeros).header, Header::kNone);
}

TEST(StateFormatTest, OtherFilesAreForeign) {
  const std::string text = "root:x:0:0:root:/root:/bin/bash\n";
  EXPECT_EQ(parse_state({reinterpret_cast<const uint8_t*>(text.data()), text.size()}).header,
            Header::kForeign);
}

TEST(StateFormatTest, AnotherVersionIsNotRead) {
  Bytes bytes = Writer().opened(door(1, 1s)).bytes;
  bytes[11] = 2;  // the version's last byte; the checksum no longer fits
  EXPECT_EQ(parse_state(bytes).header, Header::kDamaged);
  EXPECT_THAT(ids(parse_state(bytes)), ElementsAre(1));
  // The header of version 2 as it would be: with the right checksum.
  Bytes whole(bytes.begin(), bytes.begin() + 48);
  const uint32_t crc = crc32c(whole);
  for (int shift = 24; shift >= 0; shift -= 8) whole.push_back(static_cast<uint8_t>(crc >> shift));
  append_opened(whole, door(1, 1s), moment(1s));
  const auto contents = parse_state(whole);
  EXPECT_EQ(contents.header, Header::kOtherVersion);
  EXPECT_EQ(contents.version, 2u);
  EXPECT_THAT(contents.doors, IsEmpty());
}

TEST(StateFormatTest, ATornLastRecordCostsOnlyItself) {
  const Bytes two = Writer().opened(door(1, 1s)).opened(door(2, 2s)).bytes;
  const size_t last = opened_size(door(2, 2s));
  for (size_t missing = 1; missing <= last; ++missing) {
    const auto contents = parse_state(std::span(two).first(two.size() - missing));
    EXPECT_THAT(ids(contents), ElementsAre(1)) << missing << " bytes missing";
    EXPECT_EQ(contents.skipped, last - missing);
  }
}

TEST(StateFormatTest, GarbageInTheMiddleCostsOnlyItself) {
  for (const Bytes& garbage :
       {Bytes{0}, Bytes(4096, 0), Bytes(5000, 0xff), Bytes{0xff, 0xc0, 0xf5, 0xfe},
        Bytes{0xff, 0xff, 0xc0}, Bytes{0xff, 0xc0, 0xf5, 0xfe, 0xff, 0xff, 0xff, 0xff}}) {
    const auto contents =
        parse_state(Writer().opened(door(1, 1s)).garbage(garbage).opened(door(2, 2s)).bytes);
    EXPECT_THAT(ids(contents), ElementsAre(1, 2));
    EXPECT_EQ(contents.skipped, garbage.size());
  }
}

TEST(StateFormatTest, EveryFlippedByteCostsAtMostItsOwnRecord) {
  const Bytes good = Writer().opened(door(1, 1s)).opened(door(2, 2s)).opened(door(3, 3s)).bytes;
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 0x5a;
    const auto contents = parse_state(bad);
    EXPECT_EQ(contents.doors.size(), i < kStateHeaderSize ? 3u : 2u) << "byte " << i;
  }
}

TEST(StateFormatTest, RecordsAreFoundWithoutAnyHeader) {
  Bytes bytes = Writer().opened(door(1, 1s)).bytes;
  bytes.erase(bytes.begin(), bytes.begin() + 30);
  const auto contents = parse_state(bytes);
  EXPECT_EQ(contents.header, Header::kDamaged);
  EXPECT_THAT(ids(contents), ElementsAre(1));
}

TEST(StateFormatTest, TimesBeyondReasonAreNotWritten) {
  OpenDoor far = door(1, 1s);
  far.deadline = Instant::max();
  const auto contents = parse_state(Writer().opened(far, {.boot = at(1s), .wall = -5s}).bytes);
  ASSERT_EQ(contents.doors.size(), 1u);
  EXPECT_EQ(contents.last->wall, 0s);
  EXPECT_LT(contents.doors[0].door.deadline, Instant::max());
}

// --- what a deadline means later
// -------------------------------------------------------------------

// The time left of the only door of a file.
Duration left(const Writer& file, const char* boot, const Moment& now) {
  const auto doors = doors_to_close(parse_state(file.bytes), boot, now);
  EXPECT_EQ(doors.size(), 1u);
  return doors.at(0).deadline - now.boot;
}

TEST(DoorsToCloseTest, InTheSameBootDeadlinesHold) {
  const Writer file = Writer().opened(door(5, 60s), moment(10s));
  EXPECT_EQ(left(file, kBoot, moment(20s)), 40s);
  EXPECT_EQ(left(file, kBoot, moment(60s)), 0s);
  EXPECT_EQ(left(file, kBoot, moment(999s)), 0s) << "overdue: at once";
}

TEST(DoorsToCloseTest, InTheSameBootTheWallClockDoesNotCount) {
  const Writer file = Writer().opened(door(5, 60s), kept(10s, 1000h));
  EXPECT_EQ(left(file, kBoot, kept(20s, 9000h)), 40s);
  EXPECT_EQ(left(file, kBoot, kept(20s, 0h)), 40s);
}

TEST(DoorsToCloseTest, AfterARebootTheTimeLeftIsCountedFromTheLastMoment) {
  const Writer file = Writer().opened(door(5, 3700s), moment(100s)).passed(moment(700s));
  EXPECT_EQ(left(file, kOtherBoot, moment(5s)), 3000s);
  EXPECT_EQ(left(Writer(file).passed(moment(4000s)), kOtherBoot, moment(5s)), 0s);
}

TEST(DoorsToCloseTest, AfterARebootAKeptWallClockCounts) {
  const Writer file = Writer().opened(door(5, 3700s), kept(100s, 500h));
  EXPECT_EQ(left(file, kOtherBoot, kept(5s, 500h + 600s)), 3000s);
  EXPECT_EQ(left(file, kOtherBoot, kept(5s, 502h)), 0s);
}

TEST(DoorsToCloseTest, AfterARebootAWallClockThatNobodyKeepsDoesNotCount) {
  const Writer wrong_then = Writer().opened(door(5, 3700s), {.boot = at(100s), .wall = 0h});
  EXPECT_EQ(left(wrong_then, kOtherBoot, kept(5s, 490'000h)), 3600s) << "it was in 1970 before";
  const Writer right_then = Writer().opened(door(5, 3700s), kept(100s, 490'000h));
  EXPECT_EQ(left(right_then, kOtherBoot, {.boot = at(5s), .wall = 0h}), 3600s) << "it is now";
  EXPECT_EQ(left(right_then, kOtherBoot, {.boot = at(5s), .wall = 900'000h}), 3600s);
  EXPECT_EQ(left(right_then, kOtherBoot, kept(5s, 489'999h)), 3600s) << "it went back";
}

TEST(DoorsToCloseTest, TheTimeLeftNeverGrows) {
  const Writer file = Writer().opened(door(5, 60s), moment(50s));
  EXPECT_EQ(left(file, kBoot, moment(1s)), 10s) << "a boot clock that went back";
}

TEST(DoorsToCloseTest, WithoutAnyBootIdItIsAnotherBoot) {
  const Writer file = Writer("").opened(door(5, 60s), moment(50s));
  EXPECT_EQ(left(file, "", moment(1000s)), 10s);
}

TEST(DoorsToCloseTest, DoorsAreNumberedInTheOrderInWhichTheyWereOpened) {
  const auto doors = doors_to_close(
      parse_state(Writer().opened(door(70, 9s)).opened(door(7, 5s)).opened(door(70, 7s)).bytes),
      kBoot, moment(1s));
  ASSERT_EQ(doors.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(doors[i].id, i + 1);
  EXPECT_EQ(doors[0].deadline, at(9s));
  EXPECT_EQ(doors[2].deadline, at(7s));
}

// Any mixture of what a daemon does, against the plainest account of it.
TEST(StateFormatTest, AgreesWithAPlainAccount_OnRandomHistories) {
  std::mt19937 random(20240607);
  for (int round = 0; round < 200; ++round) {
    Writer file;
    std::map<uint64_t, Duration> account;
    uint64_t next = 1;
    for (int step = 0; step < 60; ++step) {
      const auto deadline = std::chrono::seconds(random() % 1000);
      const uint64_t some = random() % next;
      switch (random() % 3) {
        case 0:
          account[next] = deadline;
          file.opened(door(next++, deadline));
          break;
        case 1:
          if (account.count(some)) account[some] = deadline;
          file.extended(some, deadline);
          break;
        case 2:
          account.erase(some);
          file.closed(some);
          break;
      }
    }
    std::map<uint64_t, Duration> read;
    for (const auto& stored : parse_state(file.bytes).doors) {
      read[stored.door.id] = stored.door.deadline.time_since_epoch();
    }
    ASSERT_EQ(read, account) << "round " << round;
  }
}

}  // namespace
}  // namespace knockd
