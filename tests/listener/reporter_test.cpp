// SPDX-License-Identifier: MIT
#include "knockd/listener/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <vector>

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

class ReporterTest : public ::testing::Test {
 protected:
  ReporterTest() {
    auto pair = Channel::make_pair();
    ours_.emplace(std::move(pair->first));
    keeper_.emplace(std::move(pair->second));
    const int small = 4096;
    setsockopt(ours_->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    reporter_.emplace(*ours_, loop_, 20, 65000);
  }
  void open(DoorNumber door, uint32_t number = 0) {
    KnockEvent event;
    event.kind = EventKind::kOpen;
    event.stage = 1;
    event.door = door;
    event.source = event.destination = IpAddress::parse("192.0.2.7").value();
    event.interface_index = number;  // any distinct value
    reporter_->on_event(event);
  }
  static KnockEvent stage() {
    KnockEvent stage;
    stage.stage = 1;
    stage.door = 1;
    stage.source = IpAddress::parse("192.0.2.7").value();
    return stage;
  }
  // Sends events until one has to wait. Returns their number.
  uint32_t fill(DoorNumber door) {
    uint32_t sent = 0;
    while (!reporter_->waits() && sent < 10'000) open(door, sent++);
    EXPECT_TRUE(reporter_->waits()) << "none of " << sent << " waits";
    return sent;
  }
  // All that the keeper receives when it reads until the channel is empty.
  std::vector<KnockEvent> read_all() {
    std::vector<KnockEvent> events;
    std::array<uint8_t, kLongestMessage> buffer;
    for (;;) {
      reporter_->flush();
      const auto received = keeper_->receive(buffer);
      if (received.kind != Channel::Received::Kind::kMessage) return events;
      const auto message =
          decode_from_listener(std::span<const uint8_t>(buffer.data(), received.length), 65000);
      if (!message) {
        ADD_FAILURE() << "a message that cannot be read";
        return events;
      }
      if (const auto* event = std::get_if<KnockEvent>(&*message)) events.push_back(*event);
      if (const auto* left_out = std::get_if<LeftOut>(&*message)) left_out_ = *left_out;
      if (const auto* counts = std::get_if<DoorCounts>(&*message)) {
        counts_.insert(counts_.end(), counts->doors.begin(),
                       counts->doors.begin() + static_cast<ptrdiff_t>(counts->count));
      }
      if (const auto* status = std::get_if<ListenerStatus>(&*message)) answers_.push_back(*status);
    }
  }

  // The same for this many events, read one by one.
  size_t sent_of(int count, const KnockEvent& event) {
    size_t sent = 0;
    for (int i = 0; i < count; ++i) {
      reporter_->on_event(event);
      sent += read_all().size();
    }
    return sent;
  }

  EventLoop loop_;
  std::optional<Channel> ours_;
  std::optional<Channel> keeper_;
  std::optional<Reporter> reporter_;
  LeftOut left_out_;
  std::vector<DoorCount> counts_;
  std::vector<ListenerStatus> answers_;
};

TEST_F(ReporterTest, KnocksOfADoorArriveInOrder_EvenAfterWaiting) {
  uint32_t sent = fill(7);
  while (sent % 50 != 0) open(7, sent++);
  const auto events = read_all();
  ASSERT_EQ(events.size(), sent);
  for (uint32_t i = 0; i < sent; ++i) EXPECT_EQ(events[i].interface_index, i);
  EXPECT_FALSE(reporter_->waits());
}

TEST_F(ReporterTest, LaterKnockDoesNotOvertakeAWaitingOne) {
  uint32_t sent = fill(7);
  std::array<uint8_t, kLongestMessage> buffer;
  ASSERT_EQ(keeper_->receive(buffer).kind, Channel::Received::Kind::kMessage);
  open(7, sent++);
  const auto events = read_all();
  ASSERT_EQ(events.size(), sent - 1);
  for (uint32_t i = 1; i < sent; ++i) EXPECT_EQ(events[i - 1].interface_index, i);
}

TEST_F(ReporterTest, OpeningReportsWhetherWrongCodesWereDropped) {
  KnockEvent wrong = stage();
  wrong.kind = EventKind::kWrongCode;
  const auto is_told = [&] {
    open(1);
    const auto events = read_all();
    return events.back().kind == EventKind::kOpen && events.back().wrong_codes_untold == 1;
  };
  for (int i = 0; i < Reporter::kWrongCodesReported; ++i) {
    EXPECT_FALSE(is_told()) << i;
    reporter_->on_event(wrong);
  }
  EXPECT_TRUE(is_told());
  reporter_->codes_changed();
  EXPECT_FALSE(is_told());
}

TEST_F(ReporterTest, SixtyFourKnocksOfADoorWait_OthersAreCounted) {
  const uint32_t sent = fill(7) - 1;
  for (int i = 0; i < 100; ++i) open(7);
  EXPECT_EQ(read_all().size(), sent + 64);
  ASSERT_TRUE(reporter_->report_due());
  reporter_->report_left_out();
  read_all();
  EXPECT_EQ(left_out_.knocks, 101u - 64u);
  EXPECT_FALSE(reporter_->report_due());
}

KnockEvent wrong_code(DoorNumber door) {
  KnockEvent event;
  event.kind = EventKind::kWrongCode;
  event.stage = 2;
  event.door = door;
  event.source = event.destination = IpAddress::parse("192.0.2.7").value();
  return event;
}

// The keeper counts wrong codes to refuse typed ones, so it must receive enough of them.
TEST_F(ReporterTest, FourWrongCodesOfADoorAreAlwaysReported_InOrderWithKnocks) {
  const uint32_t sent = fill(7);
  for (int i = 0; i < 63; ++i) open(7);
  for (int i = 0; i < 6; ++i) reporter_->on_event(wrong_code(7));
  open(7);
  reporter_->on_event(wrong_code(9));
  const auto events = read_all();
  ASSERT_EQ(events.size(), sent + 63 + 4 + 1);
  std::vector<EventKind> of_door;
  for (const KnockEvent& event : events) {
    if (event.door == 7) of_door.push_back(event.kind);
  }
  EXPECT_EQ(std::count(of_door.begin(), of_door.end(), EventKind::kWrongCode), 4);
  EXPECT_EQ(of_door.back(), EventKind::kWrongCode) << "the knock behind them had no room";
}

TEST_F(ReporterTest, WrongCodesCountFromZero_AfterNewCodes) {
  fill(7);
  for (int i = 0; i < 4; ++i) reporter_->on_event(wrong_code(7));
  reporter_->codes_changed();
  for (int i = 0; i < 4; ++i) reporter_->on_event(wrong_code(7));
  const auto events = read_all();
  EXPECT_EQ(std::ranges::count(events, EventKind::kWrongCode, &KnockEvent::kind), 8);
}

TEST_F(ReporterTest, FurtherWrongCodesAreRateLimited) {
  EXPECT_EQ(sent_of(100, wrong_code(7)), 4u + 20u);
}

TEST_F(ReporterTest, FloodedDoorDelaysNoOther_DoorsTakeTurns) {
  const uint32_t sent = fill(7) - 1;
  for (int i = 0; i < 40; ++i) open(7);
  open(3);
  open(9);
  const auto events = read_all();
  std::vector<DoorNumber> first;
  for (size_t i = sent; i < sent + 4; ++i) first.push_back(events[i].door);
  EXPECT_THAT(first, ElementsAre(3, 7, 9, 7));
}

TEST_F(ReporterTest, ReportThatFindsNoRoomIsNotLost) {
  fill(7);
  for (int i = 0; i < 100; ++i) open(7);
  reporter_->report_left_out();
  EXPECT_TRUE(reporter_->report_due());
  read_all();
  reporter_->report_left_out();
  read_all();
  EXPECT_GT(left_out_.knocks, 0u);
}

TEST_F(ReporterTest, ReportOfLinesThatFindsNoRoomIsNotLost) {
  fill(7);
  for (int i = 0; i < 3; ++i) reporter_->on_event(stage());  // for which there is no room either
  reporter_->report_left_out();
  read_all();
  ASSERT_EQ(left_out_.lines, 0u);
  ASSERT_TRUE(reporter_->report_due()) << "three lines were left out";
  reporter_->report_left_out();
  read_all();
  EXPECT_EQ(left_out_.lines, 3u);
  EXPECT_EQ(left_out_.knocks, 0u);
}

TEST_F(ReporterTest, OtherEventsAreRateLimited) {
  EXPECT_EQ(sent_of(30, stage()), 20u);
  reporter_->report_left_out();
  read_all();
  EXPECT_EQ(left_out_.lines, 10u);
}

TEST_F(ReporterTest, FloodOfFirstKnocksHidesNoLaterStage) {
  KnockEvent second = stage();
  second.stage = 2;
  EXPECT_EQ(sent_of(30, stage()), 20u);
  EXPECT_EQ(sent_of(1, second), 1u);
}

TEST_F(ReporterTest, WrongKnocksAreRateLimited_ButNotCountedAsLines) {
  KnockEvent wrong = stage();
  wrong.kind = EventKind::kWrong;
  EXPECT_EQ(sent_of(30, wrong), 20u);
  EXPECT_FALSE(reporter_->report_due());
  EXPECT_EQ(sent_of(1, stage()), 1u) << "wrong knocks took the place of a line";
  wrong.stage = 2;
  EXPECT_EQ(sent_of(1, wrong), 1u) << "those who got no farther than the first knock hide it";
}

TEST_F(ReporterTest, CountsEventsPerDoor_AndReportsThemOnce) {
  KnockEvent event = stage();
  for (const EventKind kind : {EventKind::kStage, EventKind::kStage, EventKind::kTimeout,
                               EventKind::kWrong, EventKind::kScan}) {
    event.kind = kind;
    reporter_->on_event(event);
  }
  event.kind = EventKind::kStage;
  event.stage = 2;
  reporter_->on_event(event);
  open(64999);
  read_all();
  reporter_->answer({1, 2, 3, 0});
  read_all();
  EXPECT_THAT(counts_, ElementsAre(DoorCount{1, 2, 1, 1, 1}, DoorCount{64999, 1, 0, 0, 0}));
  EXPECT_THAT(answers_, ElementsAre(ListenerStatus{1, 2, 3, 0}));
  counts_.clear();
  reporter_->answer({4, 5, 6, 0});
  read_all();
  EXPECT_TRUE(counts_.empty());
  EXPECT_EQ(answers_.size(), 2u);
}

TEST_F(ReporterTest, AnswerThatFindsNoRoomWaits_AndTheNewestIsSent) {
  for (int door = 0; door < 100; ++door) open(static_cast<DoorNumber>(door));
  read_all();
  fill(7);
  reporter_->answer({1, 2, 3, 0});
  reporter_->answer({4, 5, 6, 0});
  EXPECT_TRUE(answers_.empty());
  read_all();
  EXPECT_THAT(answers_, ElementsAre(ListenerStatus{4, 5, 6, 0}));
  EXPECT_EQ(counts_.size(), 100u);
  EXPECT_FALSE(reporter_->waits());
}

TEST_F(ReporterTest, ExplanationsWaitToo) {
  Explanation explanation;
  explanation.packet.source = IpAddress::parse("192.0.2.7").value();
  explanation.packet.protocol = Protocol::kTcp;
  while (!reporter_->waits()) reporter_->on_explanation(explanation);
  for (int i = 0; i < 10; ++i) reporter_->on_explanation(explanation);
  read_all();
  EXPECT_FALSE(reporter_->waits());
}

}  // namespace
}  // namespace knockd
