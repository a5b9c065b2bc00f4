// SPDX-License-Identifier: MIT
// The boundary between the processes: valid messages arrive, all others are refused.
#include "knockd/message/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <string>
#include <variant>
#include <vector>

namespace knockd {
namespace {

using ::testing::SizeIs;

constexpr size_t kDoors = 3;
constexpr size_t kHeader = 8;

KnockEvent some_event() {
  KnockEvent event;
  event.kind = EventKind::kOpen;
  event.stage = 3;
  event.door = 2;
  event.generation = 0x01020304;
  event.interface_index = 7;
  event.source = IpAddress::parse("192.0.2.7").value();
  event.came = {8000, Protocol::kUdp};
  event.code = {999, 0x8001};
  return event;
}

Explanation some_explanation() {
  Explanation explanation;
  explanation.packet.source = IpAddress::parse("2001:db8::7").value();
  explanation.packet.destination = IpAddress::parse("2001:db8::1").value();
  explanation.packet.source_port = 40000;
  explanation.packet.destination_port = 7000;
  explanation.packet.protocol = Protocol::kUdp;
  explanation.packet.tcp_flags = 0x12;
  explanation.packet.tcp_sequence = 0x12345678;
  explanation.packet.length = 74;
  explanation.verdict = Verdict::kWrongKnock;
  explanation.door = 1;
  explanation.stage = 2;
  return explanation;
}

Trouble some_trouble() {
  Trouble trouble;
  trouble.kind = CaptureTrouble::kDown;
  std::string("wan: That device is not up").copy(trouble.text.data(), trouble.text.size() - 1);
  return trouble;
}

NextSequence some_sequence() {
  NextSequence next;
  next.door = 2;
  next.count = 3;
  next.generation = 9;
  next.knocks[0] = {1, Protocol::kTcp};
  next.knocks[1] = {8000, Protocol::kUdp};
  next.knocks[2] = {65535, Protocol::kTcp};
  return next;
}

CodesPart some_codes() {
  const Code code{{10081, 20002, 65535, 1}, {7, 0xffff}};
  return codes_parts({{2, 9, {code, code}}}).front();
}

std::vector<IpAddress> addresses(size_t count) {
  std::vector<IpAddress> list;
  for (size_t i = 0; i < count; ++i) {
    IpAddress::Bytes bytes{0x20, 0x01, 0x0d, 0xb8};
    bytes[14] = static_cast<uint8_t>(i >> 8);
    bytes[15] = static_cast<uint8_t>(i);
    list.emplace_back(bytes);
  }
  return list;
}

DoorCounts some_counts() {
  DoorCounts counts;
  counts.count = DoorCounts::kMost;
  for (DoorCount& one : counts.doors) one = {2, 1, 2, 3, 4};
  return counts;
}

std::vector<FromListener> one_of_each_from_listener() {
  return {Listening{0, LinkType::kLoopback},
          Listening{1},
          some_event(),
          some_explanation(),
          LeftOut{99, 0},
          LeftOut{0, 99},
          some_trouble(),
          ListenerStatus{1, 2, 3, 0},
          some_counts()};
}

std::vector<ToListener> one_of_each_to_listener() {
  return {address_parts(addresses(2)).front(), some_sequence(), StatusRequest(), some_codes()};
}

// --- From a listener ---------------------------------------------------------------------------

TEST(FromListenerTest, EachKindArrivesUnchanged) {
  for (const FromListener& message : one_of_each_from_listener()) {
    EXPECT_EQ(decode_from_listener(encode(message), kDoors), message) << message.index();
  }
}

TEST(FromListenerTest, NoneIsLongerThanTheLongest) {
  for (const FromListener& message : one_of_each_from_listener()) {
    EXPECT_LE(encode(message).size(), kLongestMessage);
  }
}

TEST(FromListenerTest, EachWrongLengthIsRefused) {
  for (const FromListener& message : one_of_each_from_listener()) {
    const MessageBytes right = encode(message);
    for (size_t length = 0; length <= kLongestMessage + 1; ++length) {
      MessageBytes bytes = right;
      bytes.resize(length);
      EXPECT_EQ(decode_from_listener(bytes, kDoors).has_value(), length == right.size())
          << message.index() << ' ' << length;
    }
  }
}

TEST(FromListenerTest, UnknownKindIsRefused_WhateverItsLength) {
  for (int kind = std::variant_size_v<FromListener>; kind < 256; ++kind) {
    for (size_t length = 1; length <= kLongestMessage; ++length) {
      MessageBytes bytes(length);
      bytes[0] = static_cast<uint8_t>(kind);
      ASSERT_EQ(decode_from_listener(bytes, kDoors), std::nullopt) << kind << ' ' << length;
    }
  }
}

// True if a message with this value at this place of its body is accepted.
template <typename Body, typename Value>
bool accepts(const Body& body, size_t offset, Value value, size_t doors = kDoors) {
  MessageBytes bytes = encode(FromListener(body));
  std::memcpy(bytes.data() + kHeader + offset, &value, sizeof(value));
  return decode_from_listener(bytes, doors).has_value();
}

TEST(FromListenerTest, ListeningIsYesOrNo) {
  constexpr size_t kOffset = offsetof(Listening, filter_in_kernel);
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(accepts(Listening(), kOffset, static_cast<uint8_t>(value)), value <= 1);
  }
}

TEST(FromListenerTest, LinkTypeIsKnown) {
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(accepts(Listening(), offsetof(Listening, link_type), static_cast<uint8_t>(value)),
              value <= static_cast<int>(LinkType::kLoopback));
  }
}

TEST(FromListenerTest, CountsAreOfKnownDoors_AndNoMoreThanFit) {
  for (const uint64_t count : {uint64_t{0}, uint64_t{1}, uint64_t{DoorCounts::kMost},
                               uint64_t{DoorCounts::kMost + 1}, ~uint64_t{0}}) {
    EXPECT_EQ(accepts(some_counts(), offsetof(DoorCounts, count), count),
              count >= 1 && count <= DoorCounts::kMost)
        << count;
  }
  for (const size_t number : {size_t{0}, DoorCounts::kMost - 1}) {
    const size_t offset =
        offsetof(DoorCounts, doors) + number * sizeof(DoorCount) + offsetof(DoorCount, door);
    EXPECT_TRUE(accepts(some_counts(), offset, static_cast<DoorNumber>(kDoors - 1)));
    EXPECT_FALSE(accepts(some_counts(), offset, static_cast<DoorNumber>(kDoors)));
  }
}

TEST(FromListenerTest, ProtocolOfTheKnockIsKnown) {
  const size_t offset = offsetof(KnockEvent, came) + offsetof(Knock, protocol);
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(
        accepts(some_event(), offset, static_cast<uint8_t>(value)),
        value == static_cast<int>(Protocol::kTcp) || value == static_cast<int>(Protocol::kUdp));
  }
}

TEST(FromListenerTest, EventHasAKnownKind) {
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(accepts(some_event(), offsetof(KnockEvent, kind), static_cast<uint8_t>(value)),
              value <= static_cast<int>(EventKind::kWrongCode));
  }
}

TEST(FromListenerTest, EventHasAStage) {
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(accepts(some_event(), offsetof(KnockEvent, stage), static_cast<uint8_t>(value)),
              value >= 1 && value <= static_cast<int>(kMaxKnocks));
  }
}

TEST(FromListenerTest, EventHasAnExistingDoor) {
  for (const size_t doors : {size_t{0}, size_t{1}, kDoors, size_t{65535}}) {
    for (int value = 0; value < 65536; ++value) {
      ASSERT_EQ(
          accepts(some_event(), offsetof(KnockEvent, door), static_cast<uint16_t>(value), doors),
          static_cast<size_t>(value) < doors)
          << value << " of " << doors;
    }
  }
}

TEST(FromListenerTest, SourceIsTheAddressOfOneHost) {
  for (const char* text : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"}) {
    const IpAddress::Bytes bytes = IpAddress::parse(text)->bytes();
    EXPECT_FALSE(accepts(some_event(), offsetof(KnockEvent, source), bytes)) << text;
    constexpr size_t kOffset = offsetof(Explanation, packet) + offsetof(Packet, source);
    EXPECT_FALSE(accepts(some_explanation(), kOffset, bytes)) << text;
  }
}

TEST(FromListenerTest, LeftOutCountIsNotZero) {
  EXPECT_FALSE(accepts(LeftOut{1, 0}, offsetof(LeftOut, lines), uint64_t{0}));
  EXPECT_TRUE(accepts(LeftOut{1, 0}, offsetof(LeftOut, lines), UINT64_MAX));
  EXPECT_TRUE(accepts(LeftOut{1, 0}, offsetof(LeftOut, knocks), UINT64_MAX));
}

TEST(FromListenerTest, ExplanationHasAKnownVerdict) {
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(
        accepts(some_explanation(), offsetof(Explanation, verdict), static_cast<uint8_t>(value)),
        value <= static_cast<int>(Verdict::kScanCounted));
  }
}

TEST(FromListenerTest, ExplanationHasAKnownProtocol) {
  constexpr size_t kOffset = offsetof(Explanation, packet) + offsetof(Packet, protocol);
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(accepts(some_explanation(), kOffset, static_cast<uint8_t>(value)),
              value == 6 || value == 17);
  }
}

TEST(FromListenerTest, ExplanationHasAnExistingDoorOrNone) {
  for (int value = 0; value < 65536; ++value) {
    ASSERT_EQ(
        accepts(some_explanation(), offsetof(Explanation, door), static_cast<uint16_t>(value)),
        static_cast<size_t>(value) < kDoors || value == kNoDoor)
        << value;
  }
}

TEST(FromListenerTest, ExplanationHasAStageOrNone) {
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(
        accepts(some_explanation(), offsetof(Explanation, stage), static_cast<uint8_t>(value)),
        value <= static_cast<int>(kMaxKnocks));
  }
}

TEST(FromListenerTest, TroubleHasAKnownKind) {
  for (int value = 0; value < 256; ++value) {
    EXPECT_EQ(accepts(some_trouble(), offsetof(Trouble, kind), static_cast<uint8_t>(value)),
              value <= static_cast<int>(CaptureTrouble::kOther));
  }
}

TEST(FromListenerTest, TroublesTextHasAnEnd) {
  Trouble endless = some_trouble();
  endless.text.fill('x');
  EXPECT_EQ(decode_from_listener(encode(FromListener(endless)), kDoors), std::nullopt);
  endless.text.back() = '\0';
  EXPECT_NE(decode_from_listener(encode(FromListener(endless)), kDoors), std::nullopt);
}

// --- To a listener -----------------------------------------------------------------------------

TEST(ToListenerTest, EachKindArrivesUnchanged) {
  for (const ToListener& message : one_of_each_to_listener()) {
    const auto decoded = decode_to_listener(encode(message));
    ASSERT_TRUE(decoded.has_value()) << message.index();
    EXPECT_EQ(decoded->index(), message.index());
  }
  const auto part =
      std::get<AddressPart>(*decode_to_listener(encode(one_of_each_to_listener()[0])));
  EXPECT_EQ(part.count, 2);
  EXPECT_EQ(part.addresses[1], addresses(2)[1]);
  const auto next = std::get<NextSequence>(*decode_to_listener(encode(some_sequence())));
  EXPECT_EQ(next.door, 2);
  EXPECT_EQ(next.count, 3);
  EXPECT_EQ(next.generation, 9u);
  EXPECT_EQ(next.knocks, some_sequence().knocks);
}

TEST(ToListenerTest, EachWrongLengthIsRefused) {
  for (const ToListener& message : one_of_each_to_listener()) {
    const MessageBytes right = encode(message);
    ASSERT_LE(right.size(), kLongestMessage);
    for (size_t length = 0; length <= kLongestMessage + 1; ++length) {
      MessageBytes bytes = right;
      bytes.resize(length);
      EXPECT_EQ(decode_to_listener(bytes).has_value(), length == right.size())
          << message.index() << ' ' << length;
    }
  }
}

TEST(ToListenerTest, UnknownKindIsRefused) {
  for (int kind = std::variant_size_v<ToListener>; kind < 256; ++kind) {
    MessageBytes bytes = encode(ToListener(some_sequence()));
    bytes[0] = static_cast<uint8_t>(kind);
    EXPECT_EQ(decode_to_listener(bytes), std::nullopt) << kind;
  }
}

TEST(ToListenerTest, AddressPartOutOfRangeIsRefused) {
  AddressPart part;
  part.count = AddressPart::kMost;
  EXPECT_TRUE(decode_to_listener(encode(ToListener(part))).has_value());
  part.count = AddressPart::kMost + 1;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(part))).has_value());
  part = AddressPart();
  part.first = 2;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(part))).has_value());
  part = AddressPart();
  part.last = 2;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(part))).has_value());
}

TEST(ToListenerTest, SequenceOutOfRangeIsRefused) {
  NextSequence closed;
  EXPECT_TRUE(decode_to_listener(encode(ToListener(closed))).has_value());
  NextSequence next = some_sequence();
  next.knocks[2].port = 0;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(next))).has_value());
  next = some_sequence();
  next.knocks[0].protocol = static_cast<Protocol>(1);
  EXPECT_FALSE(decode_to_listener(encode(ToListener(next))).has_value());
  next = some_sequence();
  next.knocks.fill({1, Protocol::kTcp});
  next.count = kMaxKnocks;
  EXPECT_TRUE(decode_to_listener(encode(ToListener(next))).has_value());
  next.count = kMaxKnocks + 1;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(next))).has_value());
}

TEST(ToListenerTest, CodesPartOutOfRangeIsRefused) {
  CodesPart part;
  part.count = CodesPart::kMost;
  EXPECT_TRUE(decode_to_listener(encode(ToListener(part))).has_value());
  part.count = CodesPart::kMost + 1;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(part))).has_value());
  part = CodesPart();
  part.first = 2;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(part))).has_value());
  part = CodesPart();
  part.last = 2;
  EXPECT_FALSE(decode_to_listener(encode(ToListener(part))).has_value());
}

// --- Lists of addresses ------------------------------------------------------------------------

TEST(AddressParts, FormTheList_FirstAndLastMarked) {
  for (const size_t count : std::initializer_list<size_t>{0, 1, 59, 60, 61, 120, 121, 1000}) {
    const std::vector<IpAddress> list = addresses(count);
    const std::vector<AddressPart> parts = address_parts(list);
    std::vector<IpAddress> together;
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(parts[i].first, i == 0 ? 1 : 0) << count;
      EXPECT_EQ(parts[i].last, i == parts.size() - 1 ? 1 : 0) << count;
      together.insert(together.end(), parts[i].addresses.begin(),
                      parts[i].addresses.begin() + parts[i].count);
    }
    EXPECT_EQ(together, list);
    EXPECT_THAT(parts, SizeIs(std::max<size_t>((count + 59) / 60, 1))) << count;
  }
}

// --- Codes -------------------------------------------------------------------------------------

TEST(CodesParts, FormTheCodesOfEachDoor_FirstOfADoorAndLastOfAllMarked) {
  EXPECT_THAT(codes_parts({}), SizeIs(0));
  std::vector<DoorCodes> doors = {{3, 1, {}}, {5, 2, {}}, {7, 3, {}}};
  for (const size_t count : std::initializer_list<size_t>{0, 1, 78, 79, 156, 157}) {
    for (DoorCodes& door : doors) door.codes.clear();
    for (size_t i = 0; i < count; ++i) {
      doors[0].codes.push_back({{static_cast<uint16_t>(i + 1)}, {1, 2}});
      doors[1].codes.push_back({{static_cast<uint16_t>(i + 1000)}, {3, 4}});
    }
    const std::vector<CodesPart> parts = codes_parts(doors);
    std::vector<DoorCodes> together;
    for (size_t i = 0; i < parts.size(); ++i) {
      const CodesPart& part = parts[i];
      EXPECT_EQ(part.last, i == parts.size() - 1 ? 1 : 0) << count;
      if (part.first != 0) together.push_back({part.door, part.generation, {}});
      ASSERT_FALSE(together.empty());
      EXPECT_EQ(part.door, together.back().door);
      EXPECT_EQ(part.generation, together.back().generation);
      together.back().codes.insert(together.back().codes.end(), part.codes.begin(),
                                   part.codes.begin() + part.count);
    }
    ASSERT_THAT(together, SizeIs(3)) << count;
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(together[i].door, doors[i].door);
      EXPECT_EQ(together[i].generation, doors[i].generation);
      EXPECT_EQ(together[i].codes, doors[i].codes) << count;
    }
  }
}

}  // namespace
}  // namespace knockd
