// SPDX-License-Identifier: MIT
#include "knockd/listener/reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

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
    event.interface_index = number;  // any value that tells one from another
    reporter_->on_event(event);
  }
  static KnockEvent stage() {
    KnockEvent stage;
    stage.stage = 1;
    stage.door = 1;
    stage.source = IpAddress::parse("192.0.2.7").value();
    return stage;
  }
  // Until one has to wait. Returns how many there were.
  uint32_t fill(DoorNumber door) {
    uint32_t sent = 0;
    while (!reporter_->waits() && sent < 10'000) open(door, sent++);
    EXPECT_TRUE(reporter_->waits()) << "none of " << sent << " waits";
    return sent;
  }
  // All that the keeper gets when it reads until nothing more comes.
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
    }
  }

  EventLoop loop_;
  std::optional<Channel> ours_;
  std::optional<Channel> keeper_;
  std::optional<Reporter> reporter_;
  LeftOut left_out_;
};

TEST_F(ReporterTest, KnocksOfADoorComeInOrder_AlsoThoseThatWaited) {
  uint32_t sent = fill(7);
  while (sent % 50 != 0) open(7, sent++);
  const auto events = read_all();
  ASSERT_EQ(events.size(), sent);
  for (uint32_t i = 0; i < sent; ++i) EXPECT_EQ(events[i].interface_index, i);
  EXPECT_FALSE(reporter_->waits());
}

TEST_F(ReporterTest, SixtyFourOfADoorWait_MoreAreCounted) {
  const uint32_t sent = fill(7) - 1;
  for (int i = 0; i < 100; ++i) open(7);
  EXPECT_EQ(read_all().size(), sent + 64);
  ASSERT_TRUE(reporter_->report_due());
  reporter_->report_left_out();
  read_all();
  EXPECT_EQ(left_out_.knocks, 101u - 64u);
  EXPECT_FALSE(reporter_->report_due());
}

TEST_F(ReporterTest, FloodedDoorDelaysNoOther_DoorsGoByTurns) {
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

TEST_F(ReporterTest, OtherEventsAreHeldToTheRate) {
  size_t sent = 0;
  for (int i = 0; i < 30; ++i) {
    reporter_->on_event(stage());
    sent += read_all().size();
  }
  EXPECT_EQ(sent, 20u);
  reporter_->report_left_out();
  read_all();
  EXPECT_EQ(left_out_.lines, 10u);
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
