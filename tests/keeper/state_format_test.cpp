// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "knockd/base/text.h"
#include "tests/base/processor_time.h"
#include "tests/keeper/state_lines.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using Header = StateContents::Header;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kBoot = "0b3c1f52-6a0e-4d8e-9b41-0123456789ab";
constexpr const char* kOtherBoot = "ffffffff-6a0e-4d8e-9b41-0123456789ab";

Instant at(Duration since_boot) { return Instant(since_boot); }

// A moment of a boot with an unsynchronized wall clock, which jumps.
Moment moment(Duration since_boot) {
  return {.boot = at(since_boot), .wall = std::chrono::hours(since_boot.count() % 1000)};
}
// The same with a wall clock synchronized by NTP.
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

// A small language for files: Writer().opened(...).closed(...).text
struct Writer {
  std::string text;
  explicit Writer(const char* boot = kBoot) { append_header(text, boot); }
  Writer& opened(const OpenDoor& door, Moment now = moment(1s)) {
    append_fact(text, Fact::kOpen, door, now);
    return *this;
  }
  Writer& extended(uint64_t id, Duration deadline, Moment now = moment(2s)) {
    append_fact(text, Fact::kExtend, door(id, deadline), now);
    return *this;
  }
  Writer& closed(uint64_t id, Moment now = moment(3s)) {
    append_fact(text, Fact::kClose, door(id, 0s), now);
    return *this;
  }
  Writer& passed(Moment now) {
    append_fact(text, Fact::kTime, {}, now);
    return *this;
  }
  Writer& garbage(const std::string& garbage) {
    text += garbage;
    return *this;
  }
  // A line with a right checksum.
  Writer& line(const std::string& content) {
    text += summed(content);
    return *this;
  }
};

std::vector<uint64_t> ids(const StateContents& contents) {
  std::vector<uint64_t> ids;
  for (const auto& stored : contents.doors) ids.push_back(stored.door.id);
  return ids;
}

// --- The text

// Nanoseconds, as clocks have them.
constexpr Duration kUptime = 12345'678901234ns;
constexpr std::chrono::nanoseconds kWall = 1795653907'000000005ns;

TEST(StateFormatTest, IsReadableText) {
  const Writer file = Writer()
                          .opened(door(17, kUptime + 3600s), kept(kUptime, kWall))
                          .extended(17, kUptime + 60s, {.boot = at(kUptime), .wall = kWall})
                          .closed(17, kept(kUptime, kWall))
                          .passed(kept(kUptime, kWall));
  const std::string clocks = "boot=12345.678901234 clock=2026-11-26T00:45:07.000000005Z synced=";
  EXPECT_EQ(file.text,
            "21b60767 knockd-open-doors version=2 boot-id=0b3c1f52-6a0e-4d8e-9b41-0123456789ab\n" +
                summed("open id=17 source=2001:db8::7 door=ssh interface=eth0 "
                       "left=3600.000000000 " +
                       clocks + "yes stop=iptables -D INPUT -s 2001:db8::7 -j ACCEPT") +
                summed("extend id=17 left=60.000000000 " + clocks + "no") +
                summed("close id=17 " + clocks + "yes") + summed("time " + clocks + "yes"));
}

TEST(StateFormatTest, ReturnsTheOpenings) {
  OpenDoor opened = door(7, 10s + 1ns);
  for (const char* source : {"192.0.2.7", "2001:db8::1", "::", "::1", "0.0.0.0"}) {
    opened.source = *IpAddress::parse(source);
    const auto contents = parse_state(Writer().opened(opened, kept(1s, 99h + 1ns)).text);
    EXPECT_EQ(contents.header, Header::kGood);
    EXPECT_EQ(contents.boot_id, kBoot);
    ASSERT_EQ(contents.doors.size(), 1u) << source;
    EXPECT_EQ(contents.doors[0].door, opened);
    EXPECT_EQ(contents.doors[0].written, at(1s));
    EXPECT_EQ(contents.skipped, 0u);
    ASSERT_TRUE(contents.last);
    EXPECT_EQ(contents.last->wall, 99h + 1ns);
    EXPECT_TRUE(contents.last->wall_is_kept);
  }
}

TEST(StateFormatTest, ReturnsTheUserOfACode) {
  OpenDoor opened = door(7, 10s);
  for (const char* user : {"alice", "a b", "%41", "left=1"}) {
    opened.user = user;
    const std::string text = Writer().opened(opened, kept(1s, 0s)).text;
    EXPECT_THAT(text, testing::HasSubstr(" user="));
    const auto contents = parse_state(text);
    ASSERT_EQ(contents.doors.size(), 1u) << user;
    EXPECT_EQ(contents.doors[0].door, opened);
  }
}

TEST(StateFormatTest, ReturnsTheOriginOfAnOpening) {
  OpenDoor opened = door(7, 10s);
  for (const char* user : {"", "alice"}) {
    for (const char* gateway : {"site-b", "a b", "%41", "left=1"}) {
      opened.user = user;
      opened.gateway = gateway;
      const std::string text = Writer().opened(opened, kept(1s, 0s)).text;
      EXPECT_THAT(text, testing::HasSubstr(" fleet="));
      const auto contents = parse_state(text);
      ASSERT_EQ(contents.doors.size(), 1u) << gateway;
      EXPECT_EQ(contents.doors[0].door, opened);
      const auto doors = doors_to_close(parse_state(text), kBoot, kept(2s, 0s));
      ASSERT_EQ(doors.size(), 1u);
      EXPECT_EQ(doors[0].gateway, gateway);
    }
  }
}

TEST(StateFormatTest, ExtensionChangesTheOriginOfAnOpening) {
  OpenDoor opened = door(7, 10s);
  std::string text = Writer().opened(opened).text;
  OpenDoor longer = door(7, 20s);
  longer.gateway = "site-b";
  append_fact(text, Fact::kExtend, longer, kept(1s, 0s));
  auto contents = parse_state(text);
  ASSERT_EQ(contents.doors.size(), 1u);
  EXPECT_EQ(contents.doors[0].door.gateway, "site-b");
  EXPECT_EQ(contents.doors[0].door.deadline, at(20s));
  append_fact(text, Fact::kExtend, door(7, 30s), kept(1s, 0s));  // knocked here
  contents = parse_state(text);
  ASSERT_EQ(contents.doors.size(), 1u);
  EXPECT_EQ(contents.doors[0].door.gateway, "");
}

OpenDoor with(Admission admission) {
  OpenDoor opened = door(7, 10s);
  opened.admission = std::move(admission);
  return opened;
}

TEST(StateFormatTest, WritesTheAdmissionOfADoorWithoutAShell) {
  OpenDoor opened = with({{{22, Protocol::kTcp}, {51820, Protocol::kUdp}}, {}, 64});
  opened.stop_command.clear();
  const std::string line =
      "open id=7 source=2001:db8::7 door=ssh interface=eth0 left=9.000000000 boot=1.000000000 "
      "clock=1970-01-01T00:00:00.000000000Z synced=yes ";
  EXPECT_THAT(Writer().opened(opened, kept(1s, 0s)).text,
              testing::EndsWith(summed(line + "ports=22,51820:udp prefix=64 set= stop=")));
  opened = with({{}, SetName{TableFamily::kInet, "fw4", "knockd6"}, 128});
  EXPECT_THAT(Writer().opened(opened, kept(1s, 0s)).text,
              testing::EndsWith(summed(line +
                                       "ports= prefix=128 set=inet%20fw4%20knockd6 "
                                       "stop=" +
                                       opened.stop_command)));
}

TEST(StateFormatTest, ReturnsTheAdmissionOfADoorWithoutAShell) {
  Sequence many;
  for (uint16_t port = 1; port <= 32; ++port) many.push_back({port, Protocol::kUdp});
  for (const Admission& admission :
       {Admission{{{22, Protocol::kTcp}}, {}, 128}, Admission{many, {}, 96 + 24},
        Admission{{{65535, Protocol::kUdp}}, SetName{TableFamily::kIp, "a.b", "c-d/e"}, 128},
        Admission{{}, SetName{TableFamily::kIp6, "filter", "allowed"}, 1}}) {
    for (const char* stop : {"", "iptables -D INPUT", " ports=22 prefix=1 set= stop="}) {
      OpenDoor opened = with(admission);
      opened.stop_command = stop;
      const auto contents = parse_state(Writer().opened(opened).extended(7, 60s).text);
      ASSERT_EQ(contents.doors.size(), 1u);
      EXPECT_EQ(contents.skipped, 0u);
      opened.deadline = at(60s);
      EXPECT_EQ(contents.doors[0].door, opened);
    }
  }
}

TEST(StateFormatTest, StopCommandIsNotAnAdmission) {
  OpenDoor opened = door(7, 10s);
  opened.stop_command = "x ports=22 prefix=128 set=";
  const auto contents = parse_state(Writer().opened(opened).text);
  ASSERT_EQ(contents.doors.size(), 1u);
  EXPECT_EQ(contents.doors[0].door, opened);
}

TEST(StateFormatTest, LineWithAnInvalidAdmissionIsSkipped) {
  const std::string line =
      "open id=7 source=2001:db8::7 door=ssh interface=eth0 left=9.000000000 boot=1.000000000 "
      "clock=1970-01-01T00:00:00.000000000Z synced=yes ";
  for (const char* admission :
       {"ports=22 prefix=129 set=", "ports=22 prefix= set=", "ports=0 prefix=128 set=",
        "ports=22;80 prefix=128 set=", "ports=22 prefix=128 set=inet%20fw4", "ports=22 prefix=128",
        "ports=22:tcp prefix=128 set=", "ports=22 prefix=128 set=bridge%20a%20b"}) {
    const auto contents = parse_state(Writer().line(line + admission + " stop=").text);
    EXPECT_THAT(contents.doors, IsEmpty()) << admission;
    EXPECT_NE(contents.skipped, 0u) << admission;
  }
  EXPECT_EQ(parse_state(Writer().line(line + "ports=22 prefix=128 set= stop=").text).doors.size(),
            1u);
}

TEST(StateFormatTest, NoTextBreaksALine) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& text :
       {std::string(), all, std::string(" "), std::string("%"), std::string("100%25"),
        std::string("a stop=b"), std::string("\n"), std::string(1 << 20, '\n')}) {
    OpenDoor opened = door(7, 10s);
    opened.door = opened.interface = opened.stop_command = text;
    const std::string file = Writer(text.c_str()).opened(opened).closed(8).text;
    EXPECT_EQ(std::count(file.begin(), file.end(), '\n'), 3);
    EXPECT_TRUE(std::all_of(file.begin(), file.end(),
                            [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
    const auto contents = parse_state(file);
    EXPECT_EQ(contents.boot_id, text.c_str());
    ASSERT_EQ(contents.doors.size(), 1u);
    EXPECT_EQ(contents.doors[0].door, opened);
    EXPECT_EQ(contents.facts, 2u);
  }
}

TEST(StateFormatTest, DistinguishesConsecutiveDays) {
  for (int day = 0; day < 146 * 365; day += 61) {
    const auto wall = std::chrono::days(day) + 86399s;
    const auto contents = parse_state(Writer().passed(kept(1s, wall)).text);
    ASSERT_TRUE(contents.last) << day;
    ASSERT_EQ(contents.last->wall, wall) << day;
  }
}

TEST(StateFormatTest, ImplausibleTimesAreNotWritten) {
  OpenDoor far = door(1, 1s);
  for (const Instant deadline : {Instant::max(), Instant::min()}) {
    far.deadline = deadline;
    for (const auto wall : {std::chrono::nanoseconds::min(), std::chrono::nanoseconds::max()}) {
      const auto contents = parse_state(Writer().opened(far, {.boot = at(9s), .wall = wall}).text);
      ASSERT_EQ(contents.doors.size(), 1u);
      EXPECT_GE(contents.last->wall, 0s);
      EXPECT_GE(contents.doors[0].door.deadline, at(9s));
      EXPECT_LT(contents.doors[0].door.deadline, Instant::max());
    }
  }
}

// --- Facts

TEST(StateFormatTest, ClosedDoorsAreGone_ExtendedOnesHaveTheirNewDeadline) {
  const auto contents = parse_state(Writer()
                                        .opened(door(1, 10s))
                                        .opened(door(2, 20s))
                                        .opened(door(3, 30s))
                                        .closed(2)
                                        .extended(3, 99s)
                                        .text);
  EXPECT_THAT(ids(contents), ElementsAre(1, 3));
  EXPECT_EQ(contents.doors[0].door.deadline, at(10s));
  EXPECT_EQ(contents.doors[1].door.deadline, at(99s));
  EXPECT_EQ(contents.doors[1].written, at(2s));
}

TEST(StateFormatTest, FactsOfUnknownDoorsChangeNothing) {
  const auto contents = parse_state(Writer().closed(4).extended(5, 9s).opened(door(1, 2s)).text);
  EXPECT_THAT(ids(contents), ElementsAre(1));
  EXPECT_EQ(contents.facts, 3u);
}

TEST(StateFormatTest, OfDoorsWithOneIdOnlyTheOldestIsClosed) {
  const auto contents =
      parse_state(Writer().opened(door(1, 10s)).opened(door(1, 20s)).closed(1).text);
  ASSERT_THAT(ids(contents), ElementsAre(1));
  EXPECT_EQ(contents.doors[0].door.deadline, at(20s));
}

TEST(StateFormatTest, OfDoorsWithOneIdOnlyTheYoungestIsExtended) {
  const auto contents =
      parse_state(Writer().opened(door(1, 10s)).opened(door(1, 20s)).extended(1, 99s).text);
  ASSERT_THAT(ids(contents), ElementsAre(1, 1));
  EXPECT_EQ(contents.doors[0].door.deadline, at(10s));
  EXPECT_EQ(contents.doors[1].door.deadline, at(99s));
}

TEST(StateFormatTest, TheLastMomentIsTheLatest_ByTheBootClock) {
  const auto contents = parse_state(Writer().passed(kept(9s, 1h)).passed(kept(5s, 2h)).text);
  EXPECT_EQ(contents.last->boot, at(9s));
  EXPECT_EQ(contents.last->wall, 1h);
}

// --- Headers

TEST(StateFormatTest, EmptyAndZeroedFilesHoldNothing) {
  EXPECT_EQ(parse_state({}).header, Header::kNone);
  EXPECT_EQ(parse_state(std::string(4096, '\0')).header, Header::kNone);
  EXPECT_EQ(parse_state(std::string(4096, '\0')).skipped, 4096u);
}

TEST(StateFormatTest, OtherFilesAreForeign) {
  for (const char* text : {"root:x:0:0:root:/root:/bin/bash\n", "\n", "x", "KNOCKD\n"}) {
    EXPECT_EQ(parse_state(text).header, Header::kForeign) << text;
  }
}

TEST(StateFormatTest, AnotherVersionIsNotRead) {
  const auto contents = parse_state(summed("knockd-open-doors version=3 whatever it says") +
                                    Writer().opened(door(1, 2s)).text);
  EXPECT_EQ(contents.header, Header::kOtherVersion);
  EXPECT_EQ(contents.version, 3u);
  EXPECT_THAT(contents.doors, IsEmpty());
}

TEST(StateFormatTest, TheBinaryVersionIsNotRead) {
  const auto contents = parse_state("KNOCKDOD" + Writer().opened(door(1, 2s)).text);
  EXPECT_EQ(contents.header, Header::kOtherVersion);
  EXPECT_EQ(contents.version, 1u);
  EXPECT_THAT(contents.doors, IsEmpty());
}

TEST(StateFormatTest, ADamagedHeaderCostsOnlyItself) {
  std::string text = Writer().opened(door(1, 2s)).text;
  text[text.find("version=2") + 8] = '3';
  const auto contents = parse_state(text);
  EXPECT_EQ(contents.header, Header::kDamaged);
  EXPECT_EQ(contents.boot_id, "");
  EXPECT_THAT(ids(contents), ElementsAre(1));
}

TEST(StateFormatTest, FactsAreFoundWithoutAnyHeader) {
  const std::string text = Writer().opened(door(1, 2s)).text;
  for (const size_t cut : {size_t{30}, text.find('\n') + 1}) {
    const auto contents = parse_state(text.substr(cut));
    EXPECT_EQ(contents.header, Header::kDamaged);
    EXPECT_THAT(ids(contents), ElementsAre(1));
  }
}

// --- Damage

TEST(StateFormatTest, ATornLastLineCostsOnlyItself) {
  const std::string one = Writer().opened(door(1, 1s)).text;
  const std::string two = Writer().opened(door(1, 1s)).opened(door(2, 2s)).text;
  EXPECT_THAT(ids(parse_state(two.substr(0, two.size() - 1))), ElementsAre(1, 2)) << "it is whole";
  for (size_t size = one.size(); size < two.size() - 1; ++size) {
    const auto contents = parse_state(two.substr(0, size));
    EXPECT_THAT(ids(contents), ElementsAre(1)) << size << " bytes";
    EXPECT_EQ(contents.skipped, size - one.size());
  }
}

TEST(StateFormatTest, GarbageInTheMiddleCostsOnlyItself) {
  for (const std::string& garbage :
       {std::string(1, '\0'), std::string(4096, '\0'), std::string(5000, '\xff'),
        std::string("1f2e3d4c open id=17 source=192.0.2.7 door=ssh\n"), std::string("\n\n\n"),
        std::string("1f2e3d4c "), std::string("1f2e3d4c open "), std::string(" open id=1 open ")}) {
    const auto contents =
        parse_state(Writer().opened(door(1, 1s)).garbage(garbage).opened(door(2, 2s)).text);
    EXPECT_THAT(ids(contents), ElementsAre(1, 2)) << garbage;
    EXPECT_EQ(contents.skipped, garbage.size());
    EXPECT_EQ(contents.facts, 2u);
  }
}

TEST(StateFormatTest, EveryDamagedByteCostsAtMostItsOwnLine) {
  const std::string good =
      Writer().opened(door(1, 1s)).opened(door(2, 2s)).opened(door(3, 3s)).text;
  const size_t header = good.find('\n') + 1;
  for (const int change : {0x5a, 0x01, 0x20, 0x80}) {
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      const auto contents = parse_state(bad);
      EXPECT_EQ(contents.doors.size(), i < header ? 3u : 2u) << "byte " << i;
      EXPECT_EQ(contents.header, i < header ? Header::kDamaged : Header::kGood) << "byte " << i;
      EXPECT_GT(contents.skipped, 0u);
    }
  }
}

TEST(StateFormatTest, ARightChecksumIsNotEnough) {
  const std::string clocks = " boot=1.000000000 clock=1970-01-01T00:00:00.000000000Z synced=no";
  const std::string who = " source=192.0.2.7 door=ssh interface=eth0";
  const std::string open = "open id=1" + who + " left=1.000000000" + clocks + " stop=stop";
  EXPECT_EQ(parse_state(Writer().line(open).text).facts, 1u) << "all right as it stands";
  const auto with = [](std::string text, const std::string& old, const std::string& now) {
    return text.replace(text.find(old), old.size(), now);
  };
  const std::vector<std::string> all_bad = {
      "",
      "open",
      "opens" + open.substr(4),
      "time" + clocks + " ",
      "time" + clocks + " stop=stop",
      "time id=1" + clocks,
      "close id=1 left=1.000000000" + clocks,
      "close id=1" + clocks + " id=1",
      "close" + clocks,
      "extend id=1" + clocks,
      "time boot=1.000000000 synced=no",
      with(open, "id=1", "id=01"),
      with(open, "id=1", "id=+1"),
      with(open, "id=1", "id=18446744073709551616"),
      with(open, "id=1", "id=1 id=1"),
      with(open, " id=1", ""),
      with(open, "id=1", "id=1 more=1"),
      with(open, "192.0.2.7", "192.0.2.256"),
      with(open, "192.0.2.7", "::ffff:192.0.2.7"),
      with(open, "192.0.2.7", "2001:DB8::1"),
      with(open, "192.0.2.7", "2001:db8:0::1"),
      with(open, "192.0.2.7", ""),
      with(open, "door=ssh", "door=s\tsh"),
      with(open, "door=ssh", "door=%73sh"),
      with(open, "door=ssh", "door=ssh%0A"),
      with(open, "door=ssh", "door=ssh%"),
      with(open, "door=ssh", "door=ssh%0"),
      with(open, "door=ssh", "door=ssh%zz"),
      with(open, "door=ssh interface=eth0", "interface=eth0 door=ssh"),
      with(open, "interface=eth0", "interface=eth0 "),
      with(open, "left=1.", "left=-1."),
      with(open, "left=1.000000000", "left=1"),
      with(open, "left=1.000000000", "left=1.0"),
      with(open, "left=1.000000000", "left=1.0000000000"),
      with(open, "left=1.000000000", "left=4611686018.427387904"),
      with(open, "left=1.000000000", "left=99999999999999999999.000000000"),
      with(open, "boot=1.000000000", "boot=4611686018.427387904"),
      // Each is plausible, their sum is not.
      with(open, "left=1.000000000", "left=4611686018.000000000"),
      with(open, "1970-01-01", "1969-12-31"),
      with(open, "1970-01-01", "1970-13-01"),
      with(open, "1970-01-01", "1970-00-01"),
      with(open, "1970-01-01", "1970-02-29"),
      with(open, "1970-01-01", "1970-01-00"),
      with(open, "1970-01-01", "2117-01-01"),
      with(open, "1970-01-01", "9999-01-01"),
      with(open, "T00:", "T24:"),
      with(open, "T00:00", "T00:60"),
      with(open, "00:00.", "00:60."),
      with(open, "000Z", "000"),
      with(open, "000Z", "000z"),
      with(open, "synced=no", "synced=maybe"),
      with(open, "synced=no", "synced="),
      with(open, " stop=stop", ""),
      with(open, "stop=stop", "stop=st\x7fop"),
  };
  for (const std::string& bad : all_bad) {
    const auto contents = parse_state(Writer().line(bad).opened(door(5, 2s)).text);
    EXPECT_THAT(ids(contents), ElementsAre(5)) << bad;
    EXPECT_EQ(contents.facts, 1u) << bad;
    EXPECT_EQ(contents.skipped, summed(bad).size()) << bad;
  }
}

TEST(StateFormatTest, TextOfALineWithinACommandIsNotALine) {
  const std::string inner = Writer("").opened(door(9, 9s)).text;
  OpenDoor opened = door(1, 2s);
  opened.stop_command = "echo " + inner.substr(inner.find('\n') + 1);
  const auto contents = parse_state(Writer().opened(opened).text);
  EXPECT_THAT(ids(contents), ElementsAre(1));
}

// --- What a deadline means later

// The time left of the only door of a file.
Duration left(const Writer& file, const char* boot, const Moment& now) {
  const auto doors = doors_to_close(parse_state(file.text), boot, now);
  EXPECT_EQ(doors.size(), 1u);
  return doors.at(0).deadline - now.boot;
}

// An attacker may have written a file that looks like a thousand unfinished lines.
TEST(StateFormatTest, NoFileTakesLongToRead) {
  std::string half = Writer().opened(door(1, 60s)).text;
  half = half.substr(half.find('\n') + 1);
  half.pop_back();
  half.back() ^= 1;
  Writer file;
  while (file.text.size() < 400'000) file.text += half + ' ';
  file.text += '\n';
  file.opened(door(2, 60s));
  const auto begin = processor_time();
  const StateContents contents = parse_state(file.text);
  EXPECT_LT(processor_time() - begin, 5s);
  ASSERT_EQ(contents.doors.size(), 1u);
  EXPECT_EQ(contents.doors[0].door.id, 2u);
}

TEST(DoorsToCloseTest, InTheSameBootDeadlinesHold) {
  const Writer file = Writer().opened(door(5, 60s), moment(10s));
  EXPECT_EQ(left(file, kBoot, moment(20s)), 40s);
  EXPECT_EQ(left(file, kBoot, moment(60s)), 0s);
  EXPECT_EQ(left(file, kBoot, moment(999s)), 0s) << "overdue: at once";
}

TEST(DoorsToCloseTest, DoorThatWasOverdueWhenWrittenIsClosedAtOnce) {
  const Writer file = Writer().opened(door(5, 10s), moment(60s));
  EXPECT_EQ(left(file, kBoot, moment(70s)), 0s);
  EXPECT_EQ(left(file, kBoot, moment(5s)), 0s);
  EXPECT_EQ(left(file, kOtherBoot, moment(5s)), 0s);
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

TEST(DoorsToCloseTest, AfterARebootASynchronizedWallClockCounts) {
  const Writer file = Writer().opened(door(5, 3700s), kept(100s, 500h));
  EXPECT_EQ(left(file, kOtherBoot, kept(5s, 500h + 600s)), 3000s);
  EXPECT_EQ(left(file, kOtherBoot, kept(5s, 502h)), 0s);
}

TEST(DoorsToCloseTest, AfterARebootAnUnsynchronizedWallClockDoesNotCount) {
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

TEST(DoorsToCloseTest, MissingBootIdMeansAnotherBoot) {
  const Writer file = Writer("").opened(door(5, 60s), moment(50s));
  EXPECT_EQ(left(file, "", moment(1000s)), 10s);
}

TEST(DoorsToCloseTest, DoorsAreNumberedInTheOrderInWhichTheyWereOpened) {
  const auto doors = doors_to_close(
      parse_state(Writer().opened(door(70, 9s)).opened(door(7, 5s)).opened(door(70, 7s)).text),
      kBoot, moment(1s));
  ASSERT_EQ(doors.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(doors[i].id, i + 1);
  EXPECT_EQ(doors[0].deadline, at(9s));
  EXPECT_EQ(doors[2].deadline, at(7s));
}

// Compares random actions of a daemon with the simplest possible model.
TEST(StateFormatTest, AgreesWithASimpleModel_OnRandomHistories) {
  std::mt19937 random(20240607);
  for (int round = 0; round < 200; ++round) {
    Writer file;
    std::map<uint64_t, Duration> account;
    uint64_t next = 1;
    for (int step = 0; step < 60; ++step) {
      const auto deadline = std::chrono::seconds(10 + random() % 1000);
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
    for (const auto& stored : parse_state(file.text).doors) {
      read[stored.door.id] = stored.door.deadline.time_since_epoch();
    }
    ASSERT_EQ(read, account) << "round " << round;
  }
}

}  // namespace
}  // namespace knockd
