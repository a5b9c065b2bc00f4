// SPDX-License-Identifier: MIT
#include "knockd/keeper/conversation.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace knockd {
namespace {

constexpr DoorNumber kThreeKnocks = 0;
constexpr DoorNumber kOneTime = 1;

const IpAddress kSource = IpAddress::parse("192.0.2.7").value();
const IpAddress kSource6 = IpAddress::parse("2001:db8::7").value();
const IpAddress kHere = IpAddress::parse("198.51.100.1").value();

class ConversationTest : public ::testing::Test {
 protected:
  ConversationTest() {
    settings_.doors.resize(2);
    settings_.doors[kThreeKnocks].sequence = {{7000}, {8000}, {9000}};
    settings_.doors[kOneTime].sequence = {{7001}, {8001}};
    settings_.generations = {0, 4};
    conversation_ = std::make_unique<Conversation>(settings_);
  }
  void begin() {
    conversation_ = std::make_unique<Conversation>(settings_);
    EXPECT_TRUE(says(Listening()));
  }
  bool says(const FromListener& message) { return conversation_->allows(message); }
  bool says(EventKind kind, DoorNumber door, uint8_t stage, uint32_t generation = 0,
            const IpAddress& source = kSource) {
    return says(KnockEvent{.kind = kind,
                           .stage = stage,
                           .door = door,
                           .generation = generation,
                           .source = source,
                           .destination = kHere});
  }
  void tell_addresses(size_t count) {
    for (const AddressPart& part : address_parts(std::vector<IpAddress>(count, kHere))) {
      conversation_->told(part);
    }
  }
  void tell_sequence(uint16_t count, uint32_t generation) {
    NextSequence next;
    next.door = kOneTime;
    next.count = count;
    next.generation = generation;
    conversation_->told(next);
  }

  ListenerSettings settings_;
  std::unique_ptr<Conversation> conversation_;
};

TEST_F(ConversationTest, BeginsWithListeningOrTrouble) {
  EXPECT_FALSE(says(EventKind::kStage, kThreeKnocks, 1));
  EXPECT_FALSE(says(LeftOut{1, 0}));
  EXPECT_FALSE(says(ListenerStatus()));
  EXPECT_TRUE(says(Listening()));
  EXPECT_TRUE(says(EventKind::kStage, kThreeKnocks, 1));
}

TEST_F(ConversationTest, ListensAgainOnlyForNewAddresses_OnceForEachList) {
  begin();
  EXPECT_FALSE(says(Listening()));
  begin();
  tell_addresses(150);  // three parts
  tell_addresses(0);
  EXPECT_TRUE(says(Listening()));
  EXPECT_TRUE(says(Listening()));
  EXPECT_FALSE(says(Listening()));
}

TEST_F(ConversationTest, StatusIsAcceptedOnlyAsAnAnswer) {
  begin();
  EXPECT_FALSE(says(ListenerStatus()));
  conversation_->told(StatusRequest());
  EXPECT_TRUE(says(ListenerStatus()));
  EXPECT_FALSE(says(ListenerStatus()));
}

TEST_F(ConversationTest, CountsPrecedeAnAnswer_AtMostOnePerDoor) {
  DoorCounts counts;
  counts.count = 1;
  begin();
  EXPECT_FALSE(says(counts));
  conversation_->told(StatusRequest());
  EXPECT_TRUE(says(counts));
  EXPECT_TRUE(says(ListenerStatus()));
  EXPECT_FALSE(says(counts));
  conversation_->told(StatusRequest());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(says(counts)) << i;
  EXPECT_FALSE(says(counts));
}

TEST_F(ConversationTest, ExplainsOnlyIfAsked) {
  Explanation explanation;
  explanation.packet.source = kSource;
  begin();
  EXPECT_FALSE(says(explanation));
  settings_.explain = true;
  begin();
  EXPECT_TRUE(says(explanation));
}

TEST_F(ConversationTest, AfterTroubleThereIsNothing) {
  EXPECT_TRUE(says(Trouble{CaptureTrouble::kOther, {}}));
  EXPECT_FALSE(says(Trouble{CaptureTrouble::kOther, {}}));
  EXPECT_FALSE(says(Listening()));
}

TEST_F(ConversationTest, AfterTroubleItMayStillTellItsCounts_IfItIsAsked) {
  DoorCounts counts;
  counts.count = 1;
  begin();
  EXPECT_TRUE(says(Trouble{CaptureTrouble::kDown, {}}));
  EXPECT_FALSE(says(counts));
  EXPECT_FALSE(says(ListenerStatus()));
  conversation_->told(StatusRequest());
  EXPECT_TRUE(says(counts));
  EXPECT_FALSE(says(EventKind::kStage, kThreeKnocks, 1));
  EXPECT_TRUE(says(ListenerStatus()));
  EXPECT_FALSE(says(ListenerStatus()));
}

TEST_F(ConversationTest, OnceItListens_OnlyTroubleOfTheDeviceIsAccepted) {
  for (const CaptureTrouble kind : {CaptureTrouble::kNoDevice, CaptureTrouble::kDown}) {
    begin();
    EXPECT_TRUE(says(Trouble{kind, {}}));
  }
  for (const CaptureTrouble kind : {CaptureTrouble::kNoPermission, CaptureTrouble::kLinkType,
                                    CaptureTrouble::kSandbox, CaptureTrouble::kOther}) {
    begin();
    EXPECT_FALSE(says(Trouble{kind, {}}));
  }
}

TEST_F(ConversationTest, CodesMayBeEarlierOnes_NeverFutureOnes) {
  begin();
  EXPECT_FALSE(says(EventKind::kOpen, kThreeKnocks, 3, 5));
  conversation_->told(CodesPart{.door = kThreeKnocks, .generation = 5});
  EXPECT_TRUE(says(EventKind::kOpen, kThreeKnocks, 3, 5));
  EXPECT_TRUE(says(EventKind::kWrongCode, kThreeKnocks, 2, 5));
  EXPECT_FALSE(says(EventKind::kWrongCode, kThreeKnocks, 3, 5));
  EXPECT_TRUE(says(EventKind::kOpen, kThreeKnocks, 3, 4)) << "it may not have read of them";
  EXPECT_FALSE(says(EventKind::kOpen, kThreeKnocks, 3, 6));
  EXPECT_TRUE(says(EventKind::kOpen, kOneTime, 2, 4)) << "another door";
}

TEST_F(ConversationTest, DoorOpensAtItsLastStage_OtherEventsAreBefore) {
  begin();
  for (uint8_t stage = 1; stage <= 4; ++stage) {
    EXPECT_EQ(says(EventKind::kOpen, kThreeKnocks, stage), stage == 3) << int{stage};
    for (const EventKind kind : {EventKind::kStage, EventKind::kTimeout, EventKind::kScan}) {
      EXPECT_EQ(says(kind, kThreeKnocks, stage), stage < 3) << int{stage};
    }
  }
}

TEST_F(ConversationTest, SequenceMayBeAnEarlierOne_NeverAFutureOne) {
  begin();
  EXPECT_TRUE(says(EventKind::kOpen, kOneTime, 2, 4));
  EXPECT_FALSE(says(EventKind::kOpen, kOneTime, 2, 5));
  tell_sequence(6, 5);
  EXPECT_TRUE(says(EventKind::kOpen, kOneTime, 2, 4));  // on its way as the keeper changed it
  EXPECT_TRUE(says(EventKind::kOpen, kOneTime, 6, 5));
  EXPECT_FALSE(says(EventKind::kOpen, kOneTime, 2, 5));
}

TEST_F(ConversationTest, KnockAtAUsedUpDoorIsRefused) {
  begin();
  tell_sequence(0, 5);
  for (uint8_t stage = 1; stage <= kMaxKnocks; ++stage) {
    EXPECT_FALSE(says(EventKind::kOpen, kOneTime, stage, 5));
    EXPECT_FALSE(says(EventKind::kStage, kOneTime, stage, 5));
  }
}

TEST_F(ConversationTest, KnockOfAnIgnoredFamilyIsRefused) {
  begin();
  EXPECT_TRUE(says(EventKind::kStage, kThreeKnocks, 1, 0, kSource6));
  settings_.only_v4 = true;
  begin();
  EXPECT_TRUE(says(EventKind::kStage, kThreeKnocks, 1));
  EXPECT_FALSE(says(EventKind::kStage, kThreeKnocks, 1, 0, kSource6));
}

TEST_F(ConversationTest, TimeoutHasNoDestination) {
  settings_.only_v4 = true;
  begin();
  EXPECT_TRUE(says(KnockEvent{
      .kind = EventKind::kTimeout, .stage = 1, .door = kThreeKnocks, .source = kSource}));
}

}  // namespace
}  // namespace knockd
