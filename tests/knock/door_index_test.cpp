// SPDX-License-Identifier: MIT
#include "knockd/knock/door_index.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace knockd {
namespace {

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

DoorRule door(std::string_view sequence, std::string_view target = {}, FlagMask flags = {}) {
  DoorRule rule;
  rule.sequence = std::get<Sequence>(parse_sequence(sequence));
  if (!target.empty()) rule.target = address(target);
  rule.flags = flags;
  return rule;
}

Packet tcp(uint16_t port, std::string_view destination = "192.0.2.1", uint8_t flags = kTcpSyn) {
  return {.source = {},
          .destination = address(destination),
          .destination_port = port,
          .tcp_flags = flags};
}
Packet udp(uint16_t port, std::string_view destination = "192.0.2.1") {
  Packet packet = tcp(port, destination, 0);
  packet.protocol = Protocol::kUdp;
  return packet;
}

// The doors that begin, those without a target first.
std::vector<int> begins(const DoorIndex& index, const Packet& packet) {
  std::vector<int> doors;
  for (const auto& some : index.match(packet).begins)
    doors.insert(doors.end(), some.begin(), some.end());
  return doors;
}

std::string what(const DoorIndex& index, const Packet& packet) {
  const DoorMatch match = index.match(packet);
  return std::string(match.own ? "own " : "") + (match.addressed ? "addressed " : "") +
         (match.has_port ? "port " : "") + (match.counts ? "counts" : "");
}

DoorIndex at_home(std::vector<DoorRule> doors) {
  DoorIndex index(std::move(doors), false);
  index.set_own_addresses({address("192.0.2.1"), address("2001:db8::1")});
  return index;
}

TEST(DoorIndex, MatchesAnyPortOfASequence_ByItsProtocol) {
  const DoorIndex index = at_home({door("7000,8000:udp,9000")});
  EXPECT_EQ(what(index, tcp(7000)), "own addressed port counts");
  EXPECT_EQ(what(index, udp(8000)), "own addressed port counts");
  EXPECT_EQ(what(index, tcp(9000, "2001:db8::1")), "own addressed port counts");
  EXPECT_EQ(what(index, udp(7000)), "own addressed ");
  EXPECT_EQ(what(index, tcp(8000)), "own addressed ");
  EXPECT_EQ(what(index, tcp(7001)), "own addressed ");
  EXPECT_EQ(what(index, tcp(7000, "192.0.2.2")), "");
}

TEST(DoorIndex, BeginsDoors_OnlyWithTheirFirstKnock_InTheirOrder) {
  const DoorIndex index = at_home({door("7000,8000"), door("8000,7000"), door("7000,9000")});
  EXPECT_EQ(begins(index, tcp(7000)), (std::vector{0, 2}));
  EXPECT_EQ(begins(index, tcp(8000)), (std::vector{1}));
  EXPECT_EQ(begins(index, tcp(9000)), (std::vector<int>{}));
  EXPECT_EQ(begins(index, udp(7000)), (std::vector<int>{}));
  EXPECT_EQ(index.most_side_by_side(), 2u);
}

TEST(DoorIndex, KeepsTargetsApart) {
  const DoorIndex index = at_home(
      {door("7000", "198.51.100.1"), door("7000"), door("7000", "192.0.2.1"), door("7001", "::")});
  EXPECT_EQ(begins(index, tcp(7000)), (std::vector{1, 2}));  // a target that is an own address
  EXPECT_EQ(begins(index, tcp(7000, "2001:db8::1")), (std::vector{1}));
  EXPECT_EQ(begins(index, tcp(7000, "198.51.100.1")), (std::vector{0}));
  EXPECT_EQ(what(index, tcp(7000, "198.51.100.1")), "addressed port counts");
  EXPECT_EQ(what(index, tcp(7001, "198.51.100.1")), "addressed ");
  EXPECT_EQ(what(index, tcp(7001)), "own addressed ");  // a door at :: is not at own addresses
  EXPECT_EQ(index.most_side_by_side(), 2u);
}

TEST(DoorIndex, CountsAPacket_WhoseFlagsMatchADoorWithThePort) {
  const DoorIndex index =
      at_home({door("7000,8000", {}, {kTcpSyn, kTcpAck}),
               door("8000:udp,8000,1000", {}, {kTcpAck, 0}), door("8000,7000", "198.51.100.1")});
  EXPECT_EQ(what(index, tcp(7000, "192.0.2.1", kTcpAck)), "own addressed port ");
  EXPECT_EQ(what(index, tcp(8000, "192.0.2.1", kTcpAck)), "own addressed port counts");
  EXPECT_EQ(what(index, tcp(8000, "192.0.2.1", kTcpRst)), "own addressed port ");
  EXPECT_EQ(what(index, tcp(8000, "198.51.100.1", kTcpRst)), "addressed port counts");
  EXPECT_EQ(what(index, udp(8000)), "own addressed port counts");
}

TEST(DoorIndex, FollowsOwnAddresses) {
  DoorIndex index = at_home({door("7000")});
  index.set_own_addresses({address("192.0.2.7")});
  EXPECT_EQ(what(index, tcp(7000)), "");
  EXPECT_EQ(what(index, tcp(7000, "192.0.2.7")), "own addressed port counts");
  const DoorIndex anywhere({door("7000")}, true);
  EXPECT_EQ(what(anywhere, tcp(7000, "203.0.113.1")), "own addressed port counts");
}

TEST(DoorIndex, FollowsSequences) {
  DoorIndex index = at_home({door("7000,8000"), door("7000,9000")});
  index.set_sequence(0, std::get<Sequence>(parse_sequence("9000,1000")));
  EXPECT_EQ(begins(index, tcp(7000)), (std::vector{1}));
  EXPECT_EQ(begins(index, tcp(9000)), (std::vector{0}));
  EXPECT_EQ(what(index, tcp(8000)), "own addressed ");
  index.set_sequence(1, {});
  EXPECT_EQ(what(index, tcp(7000)), "own addressed ");
  EXPECT_EQ(index[0].sequence.size(), 2u);
  EXPECT_TRUE(index[1].sequence.empty());
}

TEST(DoorIndex, FollowsSequences_AtATarget_WhichStaysAddressedWithoutOne) {
  DoorIndex index = at_home({door("7000,8000", "198.51.100.1")});
  index.set_sequence(0, std::get<Sequence>(parse_sequence("9000,1000")));
  EXPECT_EQ(what(index, tcp(7000, "198.51.100.1")), "addressed ");
  EXPECT_EQ(what(index, tcp(9000, "198.51.100.1")), "addressed port counts");
  index.set_sequence(0, {});
  EXPECT_EQ(what(index, tcp(9000, "198.51.100.1")), "addressed ");
  EXPECT_EQ(what(index, tcp(9000, "198.51.100.2")), "");
}

TEST(DoorIndex, FindsEachOfAThousandDoors) {
  std::vector<DoorRule> doors;
  for (int i = 0; i < 1000; ++i) doors.push_back(door(std::to_string(1000 + i)));
  const DoorIndex index = at_home(doors);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(begins(index, tcp(static_cast<uint16_t>(1000 + i))), (std::vector{i}));
  }
}

}  // namespace
}  // namespace knockd
