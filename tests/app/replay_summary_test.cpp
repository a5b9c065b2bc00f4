// SPDX-License-Identifier: MIT
// What the summary reports of knocks that the real tracker has judged.
#include "knockd/app/replay_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knockd/config/parser.h"
#include "knockd/knock/tracker.h"
#include "tests/config/text_files.h"

namespace knockd {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kDoor =
    "[ssh]\nSequence = 7421,3096:udp,5518\nSeq_Timeout = 5\n"
    "TCPFlags = syn\n";
constexpr const char* kHere = "198.51.100.1";

// A capture that is replayed with a configuration.
class Capture : TrackerSink {
 public:
  explicit Capture(const std::string& config, std::map<std::string, std::string> files = {},
                   uint32_t max_sources = 65536)
      : files_(std::move(files)),
        config_(*parse_config(config, "k.conf", files_)),
        rules_(config_.doors),
        tracker_(rules_.all(), options(max_sources), *this),
        summary_(config_.doors, rules_) {}

  Capture& wait(milliseconds pause) {
    const Instant end = now_ + pause;
    for (auto next = tracker_.next_expiry(); next && *next <= end; next = tracker_.next_expiry()) {
      now_ = std::max(now_, *next);
      tracker_.expire(now_);
    }
    now_ = end;
    return *this;
  }

  // "7421", "3096:udp", each a tenth of a second after the one before.
  Capture& knock(const std::string& source, const std::string& knocks, uint8_t flags = kTcpSyn,
                 const std::string& to = kHere) {
    const auto sequence = std::get<Sequence>(parse_sequence(knocks));
    for (const Knock& knock : sequence) {
      Packet packet;
      packet.source = *IpAddress::parse(source);
      packet.destination = *IpAddress::parse(to);
      packet.source_port = ++source_port_;
      packet.destination_port = knock.port;
      packet.protocol = knock.protocol;
      packet.tcp_flags = knock.protocol == Protocol::kTcp ? flags : 0;
      wait(milliseconds(100));
      tracker_.handle(packet, now_);
      if (!first_) first_ = packet;
    }
    return *this;
  }
  // The first packet once more, as systems repeat a SYN.
  Capture& repeat_the_first() {
    tracker_.handle(*first_, now_);
    return *this;
  }

  std::vector<std::string> lines() {
    wait(std::chrono::hours(1));
    return summary_.lines();
  }

 private:
  static TrackerOptions options(uint32_t max_sources) {
    TrackerOptions result;
    result.bounds.max_sources = max_sources;
    result.any_destination = true;
    result.explain = true;
    return result;
  }

  void on_event(const KnockEvent& event) override { summary_.on_event(event, now_); }
  void on_explanation(const Explanation& explanation) override {
    summary_.on_explanation(explanation, now_);
  }

  // The files that the configuration names.
  struct Files : TextFiles {
    explicit Files(std::map<std::string, std::string> named) { texts = std::move(named); }
  };

  Files files_;
  Config config_;
  DoorRules rules_;
  Tracker tracker_;
  ReplaySummary summary_;
  Instant now_{std::chrono::hours(1000)};
  uint16_t source_port_ = 40000;
  std::optional<Packet> first_;
};

const std::string kAlice = "192.0.2.7";
const std::string kBob = "203.0.113.9";

TEST(ReplaySummary, ReportsAnOpening) {
  EXPECT_THAT(Capture(kDoor).knock(kAlice, "7421,3096:udp,5518").lines(),
              ElementsAre("summary: 192.0.2.7: ssh: opened"));
}

TEST(ReplaySummary, ReportsTwoOpenings_AndTheAttemptThatFailed) {
  Capture capture(kDoor);
  capture.knock(kAlice, "7421,3096:udp").wait(milliseconds(6000));
  capture.knock(kAlice, "7421,3096:udp,5518").knock(kAlice, "7421,3096:udp,5518");
  EXPECT_THAT(
      capture.lines(),
      ElementsAre("summary: 192.0.2.7: ssh: opened 2 times; another attempt: 2 of 3 knocks: "
                  "knock 3 (5518) was not seen"));
}

TEST(ReplaySummary, ReportsHowLateAKnockWas) {
  Capture capture(kDoor);
  // The first knock is at 0.1 s, so the attempt is over at 5.1 s, and the last knock comes at 6.4
  // s.
  capture.knock(kAlice, "7421,3096:udp").wait(milliseconds(6100)).knock(kAlice, "5518");
  EXPECT_THAT(capture.lines(),
              ElementsAre("summary: 192.0.2.7: ssh: 2 of 3 knocks: knock 3 (5518) came 1.3 s too "
                          "late, Seq_Timeout is 5 s"));
}

TEST(ReplaySummary, RoundsUpHowLateAKnockWas) {
  Capture capture(kDoor);
  capture.knock(kAlice, "7421,3096:udp").wait(milliseconds(6010)).knock(kAlice, "5518");
  EXPECT_THAT(capture.lines(), ElementsAre(HasSubstr("knock 3 (5518) came 1.3 s too late")));
}

TEST(ReplaySummary, ReportsTheFirstOfTwoAttempts_WhenBothReachTheSameStage) {
  Capture capture(kDoor);
  capture.knock(kAlice, "7421,5518").wait(milliseconds(6000)).knock(kAlice, "7421");
  EXPECT_THAT(capture.lines(), ElementsAre(HasSubstr("1 of 3 knocks: wrong order at knock 2")));
}

TEST(ReplaySummary, ReportsAKnockAtTheMomentOfTheTimeoutAsLate) {
  Capture capture(kDoor);
  capture.knock(kAlice, "7421,3096:udp").wait(milliseconds(4800)).knock(kAlice, "5518");
  EXPECT_THAT(capture.lines(), ElementsAre(HasSubstr("knock 3 (5518) came 0.1 s too late")));
}

TEST(ReplaySummary, DoesNotReportARepeatedPacketAsALateKnock) {
  Capture capture(
      "[a]\nSequence = 7421,8000\nSeq_Timeout = 1\nTCPFlags = syn\n"
      "[b]\nSequence = 8000\nTCPFlags = syn\n");
  capture.knock(kAlice, "8000,7421").wait(milliseconds(2000)).repeat_the_first();
  EXPECT_THAT(capture.lines(),
              ElementsAre("summary: 192.0.2.7: b: opened",
                          "summary: 192.0.2.7: a: 1 of 2 knocks: knock 2 (8000) was not seen"));
}

TEST(ReplaySummary, ReportsTheWrongKnock) {
  EXPECT_THAT(
      Capture(kDoor).knock(kAlice, "7421,5518,3096:udp").lines(),
      ElementsAre("summary: 192.0.2.7: ssh: 1 of 3 knocks: wrong order at knock 2: expected "
                  "3096:udp, came 5518"));
}

TEST(ReplaySummary, ReportsWrongFlags) {
  Capture capture(kDoor);
  capture.knock(kAlice, "7421", kTcpFin).knock(kAlice, "3096:udp,5518");
  capture.knock(kBob, "7421,3096:udp").knock(kBob, "5518", kTcpSyn | kTcpAck);
  EXPECT_THAT(capture.lines(),
              ElementsAre("summary: 203.0.113.9: ssh: 2 of 3 knocks: knock 3 (5518) came with "
                          "syn,ack, TCPFlags is syn,!ack",
                          "summary: 192.0.2.7: ssh: 0 of 3 knocks: knock 1 (7421) came with fin, "
                          "TCPFlags is syn,!ack"));
}

TEST(ReplaySummary, ReportsAWrongProtocol) {
  EXPECT_THAT(
      Capture(kDoor).knock(kAlice, "7421,3096").lines(),
      ElementsAre("summary: 192.0.2.7: ssh: 1 of 3 knocks: knock 2 (3096:udp) came as tcp"));
}

TEST(ReplaySummary, ReportsAWrongTargetAddress) {
  const std::string door = std::string(kDoor) + "Target = 198.51.100.1\n";
  Capture capture(door);
  capture.knock(kAlice, "7421,3096:udp,5518", kTcpSyn, "198.51.100.2");
  capture.knock(kBob, "7421").knock(kBob, "3096:udp", 0, "198.51.100.2");
  EXPECT_THAT(capture.lines(),
              ElementsAre("summary: 203.0.113.9: ssh: 1 of 3 knocks: knock 2 (3096:udp) went to "
                          "198.51.100.2, Target is 198.51.100.1",
                          "summary: 192.0.2.7: ssh: 0 of 3 knocks: knock 1 (7421) went to "
                          "198.51.100.2, Target is 198.51.100.1"));
}

TEST(ReplaySummary, ReportsMissingKnocks) {
  Capture capture(kDoor + std::string("[web]\nSequence = 2290,8461,6037\nTCPFlags = syn\n"));
  capture.knock(kAlice, "7421,3096:udp").knock(kBob, "3096:udp,5518").knock("192.0.2.99", "80");
  EXPECT_THAT(capture.lines(),
              ElementsAre("summary: 192.0.2.7: ssh: 2 of 3 knocks: knock 3 (5518) was not seen",
                          "summary: 203.0.113.9: ssh: 0 of 3 knocks: knock 2 (3096:udp) came, but "
                          "knock 1 (7421) was not seen before it",
                          "summary: web: no packet to its ports was seen"));
}

TEST(ReplaySummary, ReportsAPortScan) {
  EXPECT_THAT(
      Capture(kDoor).knock(kAlice, "7421,21,22,23,24,25").lines(),
      ElementsAre("summary: 192.0.2.7: ssh: 1 of 3 knocks: port scan, other ports were tried "
                  "meanwhile (Scan_Limit)"));
}

TEST(ReplaySummary, ReportsTheCooldown) {
  Capture capture(std::string(kDoor) + "Seq_Cooldown = 60\n");
  capture.knock(kAlice, "7421,3096:udp,5518").knock(kBob, "7421");
  EXPECT_THAT(capture.lines(),
              ElementsAre("summary: 192.0.2.7: ssh: opened",
                          "summary: 203.0.113.9: ssh: 0 of 3 knocks: the door ignores knocks for "
                          "60 s after it was opened (Seq_Cooldown)"));
}

TEST(ReplaySummary, PrintsOneLine_ForADoorWithManySequences) {
  Capture capture("[once]\nOne_Time_Sequences = list\nTCPFlags = syn\n",
                  {{"list", "7421,3096,5518\n7421,3096,6037\n2290,8461,6037\n"}});
  capture.knock(kAlice, "7421,3096,6037").knock(kBob, "2290,8461");
  EXPECT_THAT(
      capture.lines(),
      ElementsAre("summary: 192.0.2.7: once: opened",
                  "summary: 203.0.113.9: once: 2 of 3 knocks: knock 3 (6037) was not seen"));
}

TEST(ReplaySummary, ReportsAnAttemptDroppedToMakeRoom) {
  Capture capture(kDoor, {}, 16);
  capture.knock(kAlice, "7421");
  for (int i = 1; i <= 20; ++i) capture.knock("203.0.113." + std::to_string(i), "7421");
  EXPECT_THAT(
      capture.lines(),
      testing::Contains("summary: 192.0.2.7: ssh: 1 of 3 knocks: the attempt was dropped to "
                        "make room (Max_Sources)"));
}

TEST(ReplaySummary, PrintsTheFarthestOfManySources_AndCountsTheRest) {
  Capture capture(kDoor);
  for (int i = 0; i < 300; ++i) {
    capture.knock("10.0.0." + std::to_string(i % 250), i == 77 ? "7421,3096:udp" : "7421");
  }
  const auto lines = capture.lines();
  ASSERT_EQ(lines.size(), ReplaySummary::kMostLines + 1);
  EXPECT_THAT(lines[0], HasSubstr("10.0.0.77: ssh: 2 of 3 knocks"));
  EXPECT_EQ(lines.back(), "summary: 230 more, none of which came farther");
}

TEST(ReplaySummary, StaysShort_AndKeepsTheFarthest_InAFlood) {
  Capture capture(kDoor);
  capture.knock(kAlice, "7421,3096:udp");
  for (int i = 0; i < 20000; ++i) {
    capture.knock("10.0." + std::to_string(i / 250) + '.' + std::to_string(i % 250), "5518");
  }
  const auto lines = capture.lines();
  EXPECT_THAT(lines[0], HasSubstr("192.0.2.7: ssh: 2 of 3 knocks"));
  EXPECT_THAT(lines.back(), testing::MatchesRegex("summary: over [0-9]+ more, none of which .*"));
}

TEST(ReplaySummary, NamesTwentyUntriedDoors_AndCountsTheRest) {
  std::string doors;
  for (int i = 0; i < 25; ++i) doors += "[d" + std::to_string(i) + "]\nSequence = 1,2,3\n";
  const auto lines = Capture(doors).lines();
  ASSERT_EQ(lines.size(), ReplaySummary::kMostLines + 1);
  EXPECT_EQ(lines.back(), "summary: nor one to the ports of 5 other doors");
}

}  // namespace
}  // namespace knockd
