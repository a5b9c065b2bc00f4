// SPDX-License-Identifier: MIT
#include "knockd/knock/tracker.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tests/base/child.h"
#include "tests/knock/tracker_fixture.h"

namespace knockd {
namespace {

constexpr std::array<uint16_t, 3> kKnocks = {7000, 8000, 9000};

// ---- matching ----

TEST_F(TrackerTest, OpensOnTheLastKnock) {
  door("openSSH", "7000,8000:udp,9000");
  knock(7000);
  expect("openSSH: Stage 1");
  after(3s);
  knock_udp(8000);
  expect("openSSH: Stage 2");
  knock(9000);
  expect("openSSH: OPEN SESAME");
  EXPECT_EQ(event.stage, 3);
}

TEST_F(TrackerTest, OpensAtOnce_WhenTheSequenceIsOneKnock) {
  door("bell", "7000");
  knock(7000);
  expect("bell: OPEN SESAME");
  knock(7000);
  expect("bell: OPEN SESAME");
}

TEST_F(TrackerTest, HandlesIpv6) {
  door("openSSH", "7000,8000");
  from("2001:db8::9");
  to("2001:db8::1");
  knock(7000);
  knock(8000);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
  EXPECT_EQ(event.source, address("2001:db8::9"));
}

TEST_F(TrackerTest, KeepsSourcesApart) {
  door("openSSH", "7000,8000");
  from("203.0.113.1");
  knock(7000);
  expect("openSSH: Stage 1");
  from("203.0.113.2");
  knock(8000);
  expect_nothing();
  from("203.0.113.1");
  knock(8000);
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, KeepsProtocolsApart) {
  door("openSSH", "7000,8000:udp");
  knock_udp(7000);
  expect_nothing();
  knock(7000);
  expect("openSSH: Stage 1");
  knock(8000);  // counts for no door
  expect_nothing();
  knock_udp(8000);
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, IgnoresPacketsThatAreNotKnocks) {
  door("openSSH", "7000,8000");
  knock(7000);
  expect("openSSH: Stage 1");
  knock(443);
  knock_udp(53);
  to("192.0.2.99");
  knock(7000);
  to("192.0.2.1");
  knock(8000);
  expect("openSSH: OPEN SESAME");
}

// Rule 1.
TEST_F(TrackerTest, TimesOut_CountedFromTheFirstKnock) {
  door("openSSH", "7000,8000,9000", {.timeout = 5s});
  knock(7000);
  after(4s);
  knock(8000);
  expect("openSSH: Stage 1, openSSH: Stage 2");
  after(999ms);
  expect_nothing();
  after(1ms);
  expect("openSSH: timeout at 2");
  knock(9000);
  expect_nothing();
}

TEST_F(TrackerTest, TimesOut_WhenTheNextKnockShowsIt) {
  door("openSSH", "7000,8000", {.timeout = 5s});
  knock(7000);
  expect("openSSH: Stage 1");
  unnoticed(5s);
  knock(8000);
  expect("openSSH: timeout at 1");
  unnoticed(4999ms);
  knock(7000);
  unnoticed(4999ms);
  knock(8000);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, ReportsWhenTheNextAttemptExpires) {
  door("slow", "7000,8000", {.timeout = 20s});
  door("fast", "7001,8000", {.timeout = 5s});
  EXPECT_EQ(tracker().next_expiry(), std::nullopt);
  knock(7000);
  EXPECT_EQ(tracker().next_expiry(), Instant(1020s));
  after(1s);
  from("203.0.113.2");
  knock(7001);
  expect("slow: Stage 1, fast: Stage 1");
  EXPECT_EQ(tracker().next_expiry(), Instant(1006s));
  after(5s);
  expect("fast: timeout at 1");
  EXPECT_EQ(tracker().next_expiry(), Instant(1020s));
  after(14s);
  expect("slow: timeout at 1");
  EXPECT_EQ(tracker().next_expiry(), std::nullopt);
  EXPECT_EQ(tracker().sources(), 0u);
}

// Rule 2.
TEST_F(TrackerTest, IgnoresRetransmissions) {
  door("openSSH", "1111,1111,2222");
  knock(1111);
  expect("openSSH: Stage 1");
  after(1s);
  retransmit();
  after(2s);
  retransmit();
  expect_nothing();
  knock(1111);
  expect("openSSH: Stage 2");
  retransmit();
  expect_nothing();
  knock(2222);
  expect("openSSH: OPEN SESAME");
}

// A browser's knocks at dropped ports: it aborts each request, but its two sockets stay and repeat
// their SYNs every second.
TEST_F(TrackerTest, IgnoresRetransmissions_OfKnocksBeforeTheLast) {
  door("openSSH", "7000,8000,9000");
  std::vector<Packet> sockets;
  for (const uint16_t port : kKnocks) {
    for (int socket = 0; socket < 2; ++socket) sockets.push_back(knock(port));
    for (const Packet& packet : sockets) send(packet);
  }
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, RemembersSixteenSegments_OfAnAttempt) {
  door("openSSH", "7000,8000,9000");
  const Packet forgotten = knock(7000);
  std::vector<Packet> remembered;
  for (int repeat = 0; repeat < 15; ++repeat) remembered.push_back(knock(7000));
  remembered.push_back(knock(8000));
  for (const Packet& packet : remembered) send(packet);
  expect("openSSH: Stage 1, openSSH: Stage 2");
  send(forgotten);
  expect("openSSH: Stage 1");
}

TEST_F(TrackerTest, RemembersSegments_AcrossAUdpKnock) {
  door("openSSH", "7000,8000:udp,9000");
  const Packet first = knock(7000);
  knock_udp(8000);
  send(first);
  knock(9000);
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
}

// A second knock at an open door must not fail because of the sockets of the first.
TEST_F(TrackerTest, RemembersSegments_OfTheLastOpening) {
  door("openSSH", "7000,8000,9000");
  std::vector<Packet> sockets;
  for (const uint16_t port : kKnocks) sockets.push_back(knock(port));
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
  for (const Packet& packet : sockets) send(packet);
  expect_nothing();
  for (const uint16_t port : kKnocks) {
    after(1s);
    knock(port);
    for (const Packet& packet : sockets) send(packet);
  }
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, ForgetsSegments_WithTheirAttempt) {
  door("openSSH", "7000,8000,9000");
  const Packet first = knock(7000);
  const Packet second = knock(8000);
  expect("openSSH: Stage 1, openSSH: Stage 2");
  knock(7000);  // wrong
  send(second);
  expect("openSSH: Stage 1, openSSH: Stage 2");
  send(first);
  expect("openSSH: Stage 1");
}

TEST_F(TrackerTest, DoesNotTreatUdpAsRetransmitted) {
  door("openSSH", "1111:udp,1111:udp,2222");
  knock_udp(1111);
  knock_udp(1111);
  expect("openSSH: Stage 1, openSSH: Stage 2");
}

// Packets from one port with one sequence number are knocks nevertheless.
TEST_F(TrackerTest, DistinguishesSegmentsToOtherPortsFromRetransmissions) {
  door("openSSH", "7000,8000");
  Packet packet{.source = address("203.0.113.9"),
                .destination = address("192.0.2.1"),
                .source_port = 1234,
                .destination_port = 7000,
                .tcp_flags = kSyn,
                .tcp_sequence = 0};
  send(packet);
  packet.destination_port = 8000;
  send(packet);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, DoesNotOpenAgain_WhenTheLastKnockIsRetransmitted) {
  door("bell", "7000");
  knock(7000);
  expect("bell: OPEN SESAME");
  for (const Duration pause : {1s, 2s, 4s, 8s, 16s, 32s}) {  // as Linux repeats a SYN
    after(pause);
    retransmit();
  }
  expect_nothing();
  after(1s);  // 64 s
  retransmit();
  expect("bell: OPEN SESAME");
}

TEST_F(TrackerTest, RecognizesTheLastKnock_AfterANewSequence) {
  door("once", "7000,8000");
  knock(7000);
  knock(8000);
  expect("once: Stage 1, once: OPEN SESAME");
  new_sequence(0, "8000,7000", 1);
  retransmit();
  expect_nothing();
}

// Rule 3.
TEST_F(TrackerTest, IgnoresARepeatedKnock) {
  door("openSSH", "7000,8000,9000");
  knock(7000);
  knock(7000);
  knock(8000);
  knock(8000);
  knock(8000);
  knock(9000);
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, EndsTheAttempt_OnAWrongKnock) {
  door("openSSH", "7000,8000,9000");
  knock(7000);
  expect("openSSH: Stage 1");
  knock(9000);
  knock(8000);
  knock(9000);
  expect_nothing();
}

TEST_F(TrackerTest, ReportsAWrongKnock_WithItsPortAndTheStage) {
  door("openSSH", "7000,8000:udp,9000");
  knock(7000);
  knock_udp(8000);
  expect("openSSH: Stage 1, openSSH: Stage 2");
  EXPECT_TRUE(wrong.empty());
  knock(7000);  // begins another
  expect("openSSH: Stage 1");
  ASSERT_EQ(wrong.size(), 1u);
  EXPECT_EQ(wrong[0].stage, 2);
  EXPECT_EQ(wrong[0].came, (Knock{7000, Protocol::kTcp}));
  EXPECT_EQ(wrong[0].source, address("203.0.113.9"));
  EXPECT_EQ(wrong[0].destination, address("192.0.2.1"));
}

TEST_F(TrackerTest, EndsTheAttempt_OnAKnockBeforeTheLast) {
  door("openSSH", "7000,8000,9000");
  knock(7001);
  knock(7000);
  knock(8000);
  expect("openSSH: Stage 1, openSSH: Stage 2");
  knock(7000);
  expect("openSSH: Stage 1");
}

TEST_F(TrackerTest, EndsTheAttempt_OnAKnockOfAnotherDoor) {
  door("front", "7000,8000");
  door("back", "1000,2000");
  knock(7000);
  expect("front: Stage 1");
  knock(2000);
  knock(8000);
  expect_nothing();
}

TEST_F(TrackerTest, IgnoresKnocks_WhoseFlagsDoNotMatch) {
  door("openSSH", "7000,8000", {.flags = {kTcpSyn, kTcpAck}});
  knock(7000, kAck);
  knock(7000, kSynAck);
  expect_nothing();
  knock(7000);
  expect("openSSH: Stage 1");
  knock(8000, kAck);
  knock(7000, kTcpRst);
  expect_nothing();
  knock(8000, kTcpSyn | kTcpUrg);
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, IgnoresFlagsForUdp) {
  door("openSSH", "7000:udp,8000:udp", {.flags = {kTcpSyn, 0}});
  knock_udp(7000);
  knock_udp(8000);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, DoesNotAdvanceADoor_WhoseFlagsDoNotMatch) {
  door("syn", "7000,8000", {.flags = {kTcpSyn, 0}});
  door("ack", "8000,7000", {.flags = {kTcpAck, 0}});
  knock(7000);
  expect("syn: Stage 1");
  knock(7000, kAck);  // counts for `ack`, though not as its first knock
  expect_nothing();
  knock(8000, kAck);
  expect("ack: Stage 1");
  knock(8000);
  expect("syn: OPEN SESAME");
}

// Rule 4.
TEST_F(TrackerTest, StartsAfresh_WhenTheWrongKnockIsAFirstOne) {
  door("front", "7000,8000,9000");
  door("back", "9000,8000");
  knock(7000);
  expect("front: Stage 1");
  knock(9000);
  expect("back: Stage 1");
  knock(8000);
  expect("back: OPEN SESAME");
}

TEST_F(TrackerTest, AdvancesDoorsSideBySide_ThatShareTheirFirstKnocks) {
  door("side", "7000,8000,1000");  // in the order of the configuration
  door("back", "7000,8000,3000");
  door("front", "7000,8000,9000");
  knock(7000);
  expect("side: Stage 1, back: Stage 1, front: Stage 1");
  knock(8000);
  expect("side: Stage 2, back: Stage 2, front: Stage 2");
  knock(9000);
  expect("front: OPEN SESAME");
  knock(1000);
  expect_nothing();
}

TEST_F(TrackerTest, OpensEveryDoorWithTheSameSequence) {
  door("back", "7000,8000");
  door("front", "7000,8000");
  knock(7000);
  knock(8000);
  expect("back: Stage 1, front: Stage 1, back: OPEN SESAME, front: OPEN SESAME");
}

TEST_F(TrackerTest, BeginsNoAttempt_WhenAnAttemptUsedThePacket) {
  door("back", "8000,9000");
  door("front", "7000,8000");
  knock(7000);
  knock(8000);
  expect("front: Stage 1, front: OPEN SESAME");
  knock(9000);
  expect_nothing();
}

// ---- places ----

TEST_F(TrackerTest, AcceptsKnocksAtATarget_OnlyFromPacketsToIt) {
  door("inner", "7000,8000", {.target = "198.51.100.5"});
  door("outer", "7000,9000");
  knock(7000);
  expect("outer: Stage 1");
  to("198.51.100.5");
  knock(7000);
  expect("inner: Stage 1");
  knock(8000);
  expect("inner: OPEN SESAME");
  to("192.0.2.1");
  knock(9000);
  expect("outer: OPEN SESAME");
}

TEST_F(TrackerTest, DistinguishesTargets) {
  door("one", "7000,8000", {.target = "198.51.100.1"});
  door("two", "7000,8000", {.target = "198.51.100.2"});
  to("198.51.100.1");
  knock(7000);
  expect("one: Stage 1");
  to("198.51.100.2");
  knock(8000);
  expect_nothing();
  to("198.51.100.1");
  knock(8000);
  expect("one: OPEN SESAME");
}

TEST_F(TrackerTest, AcceptsKnocksAtBoth_WhenATargetIsAnOwnAddress) {
  door("everywhere", "7000,8000");
  door("here", "7000,8000", {.target = "192.0.2.1"});
  knock(7000);
  expect("everywhere: Stage 1, here: Stage 1");
  to("2001:db8::1");
  knock(8000);
  expect("everywhere: OPEN SESAME");
}

TEST_F(TrackerTest, ContinuesAttempts_WhenOwnAddressesChange) {
  door("openSSH", "7000,8000");
  knock(7000);
  expect("openSSH: Stage 1");
  own_addresses({"192.0.2.77"});
  knock(8000);  // to the removed address
  expect_nothing();
  to("192.0.2.77");
  knock(8000);
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, IgnoresEverything_WithoutOwnAddresses) {
  door("openSSH", "7000");
  own_addresses({});
  knock(7000);
  expect_nothing();
}

TEST_F(TrackerTest, AcceptsEveryDestination_InReplay) {
  options.any_destination = true;
  door("inner", "7000,8000", {.target = "198.51.100.5"});
  door("outer", "7000,8000");
  own_addresses({});
  to("198.18.0.1");
  knock(7000);
  expect("outer: Stage 1");
  to("198.51.100.5");
  knock(8000);
  expect("outer: OPEN SESAME");
}

// ---- cooldown ----

TEST_F(TrackerTest, IgnoresKnocks_WhileTheDoorCoolsDown) {
  door("openSSH", "7000,8000", {.cooldown = 10s});
  from("203.0.113.1");
  knock(7000);
  from("203.0.113.2");
  knock(7000);
  expect("openSSH: Stage 1, openSSH: Stage 1");
  knock(8000);
  expect("openSSH: OPEN SESAME");
  after(9999ms);
  knock(7000);
  from("203.0.113.1");
  knock(8000);  // from any source
  expect_nothing();
  after(1ms);
  knock(8000);  // the attempt was not ended either
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, CoolsOnlyOneDoor) {
  door("back", "7000", {.cooldown = 10s});
  door("front", "7000,8000");
  knock(7000);
  expect("back: OPEN SESAME, front: Stage 1");
  knock(7000);
  knock(8000);
  expect("front: OPEN SESAME");
  knock(7000);
  expect("front: Stage 1");
}

TEST_F(TrackerTest, CoolsAllSequencesOfADoor) {
  door("once", "7000", {.cooldown = 10s});
  door("once", "8000", {.cooldown = 10s, .cools_with = 0});
  door("once", "9000", {.cooldown = 10s, .cools_with = 0});
  knock(8000);
  expect("once: OPEN SESAME");
  knock(7000);
  knock(9000);
  expect_nothing();
  after(10s);
  knock(7000);
  expect("once: OPEN SESAME");
  knock(9000);
  expect_nothing();
}

TEST_F(TrackerTest, StaysInCooldown_WithANewSequence) {
  door("once", "7000", {.cooldown = 10s});
  knock(7000);
  expect("once: OPEN SESAME");
  new_sequence(0, "8000", 1);
  knock(8000);
  expect_nothing();
  after(10s);
  knock(8000);
  expect("once: OPEN SESAME");
}

// ---- one-time sequences ----

TEST_F(TrackerTest, ReportsTheGenerationOfASequence) {
  door("once", "7000,8000");
  door("other", "1000,2000");
  knock(7000);
  expect("once: Stage 1");
  EXPECT_EQ(event.generation, 0u);
  new_sequence(0, "8000,7000", 5);
  knock(8000);  // the first knock of the new one; the old attempt is over
  expect("once: Stage 1");
  EXPECT_EQ(event.generation, 5u);
  knock(7000);
  expect("once: OPEN SESAME");
  EXPECT_EQ(event.generation, 5u);
  knock(1000);
  expect("other: Stage 1");
  EXPECT_EQ(event.generation, 0u);
}

TEST_F(TrackerTest, NeverOpens_WithoutSequence) {
  door("once", "7000");
  door("other", "1000,2000");
  knock(1000);
  expect("other: Stage 1");
  close_for_good(0);
  knock(7000);
  expect_nothing();
  knock(2000);
  expect("other: OPEN SESAME");
  new_sequence(0, "7000", 2);
  knock(7000);
  expect("once: OPEN SESAME");
}

// ---- scan guard ----

TEST_F(TrackerTest, EndsTheAttempt_WhenItsSourceScans) {
  door("openSSH", "7000,8000");
  knock(7000);
  expect("openSSH: Stage 1");
  for (const uint16_t port : std::initializer_list<uint16_t>{22, 80, 443, 25}) knock(port);
  for (const uint16_t port : std::initializer_list<uint16_t>{22, 80, 443, 25}) knock(port);
  expect_nothing();  // four distinct ones
  knock(110);
  expect("openSSH: port scan at 1");
  knock(8000);
  expect_nothing();
}

TEST_F(TrackerTest, AllowsAFewOtherServices) {
  door("openSSH", "7000,8000,9000");
  knock(7000);
  for (const uint16_t port : std::initializer_list<uint16_t>{22, 80, 443, 25}) knock(port);
  knock(8000);
  for (const uint16_t port : std::initializer_list<uint16_t>{22, 80, 443, 25}) knock(port);
  knock(9000);
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, CountsOnlyConnectionAttempts) {
  options.bounds.scan_limit = 1;
  door("openSSH", "7000,8000");
  knock(7000);
  for (uint16_t port = 1; port < 100; ++port) {
    knock(port, kAck);
    knock(port, kSynAck);
    knock(port, kTcpRst);
    knock_udp(port);
  }
  knock(8000);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, CountsNoAcceptedKnocks) {
  options.bounds.scan_limit = 1;
  door("openSSH", "1000,2000,3000,4000,5000");
  for (uint16_t port = 1000; port <= 5000; port = static_cast<uint16_t>(port + 1000)) {
    knock(port);
    retransmit();
    if (port < 5000) knock(port);
  }
  expect(
      "openSSH: Stage 1, openSSH: Stage 2, openSSH: Stage 3, openSSH: Stage 4, "
      "openSSH: OPEN SESAME");
}

// A packet that an attempt does not accept is a connection attempt like any other, even at a port
// of a door.
TEST_F(TrackerTest, CountsKnocks_ThatNoAttemptUsed) {
  options.bounds.scan_limit = 1;
  door("ack", "1000,2000", {.flags = {kTcpAck, 0}});
  door("syn", "3000,4000,5000", {.flags = {kTcpSyn, 0}});
  knock(1000, kAck);
  expect("ack: Stage 1");
  knock(4000);
  expect_nothing();
  knock(5000);
  expect("ack: port scan at 1");
}

TEST_F(TrackerTest, CountsAtAllAddresses) {
  options.bounds.scan_limit = 1;
  door("inner", "7000,8000", {.target = "198.51.100.5"});
  door("outer", "7000,8000");
  to("198.51.100.5");
  knock(7000);
  expect("inner: Stage 1");
  to("192.0.2.1");
  knock(22);
  to("192.0.2.99");  // nobody here
  knock(25);
  to("2001:db8::1");
  knock(443);
  expect("inner: port scan at 1");
}

TEST_F(TrackerTest, RemembersNoScan_OfASourceWithoutAttempt) {
  door("openSSH", "7000,8000");
  for (uint16_t port = 1; port < 1000; ++port) knock(port);
  EXPECT_EQ(tracker().sources(), 0u);
  knock(7000);
  knock(8000);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, ForgetsAScan_WithTheAttempt) {
  options.bounds.scan_limit = 2;
  door("openSSH", "7000,8000,9000");
  knock(7000);
  knock(22);
  knock(80);
  knock(9000);  // wrong
  knock(7000);
  knock(22);
  knock(80);
  knock(8000);
  knock(9000);
  expect("openSSH: Stage 1, openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, CountsForEachSource) {
  options.bounds.scan_limit = 1;
  door("openSSH", "7000,8000");
  from("203.0.113.1");
  knock(7000);
  from("203.0.113.2");
  for (uint16_t port = 1; port < 100; ++port) knock(port);
  from("203.0.113.1");
  knock(8000);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, GuardsNothing_WithoutAScanLimit) {
  options.bounds.scan_limit = 0;
  door("openSSH", "7000,8000");
  knock(7000);
  for (uint16_t port = 1; port < 1000; ++port) knock(port);
  knock(8000);
  expect("openSSH: Stage 1, openSSH: OPEN SESAME");
}

// ---- bounds ----

TEST_F(TrackerTest, RemembersNoMoreSourcesThanItsBound) {
  options.bounds.max_sources = 100;
  door("openSSH", "7000,8000");
  for (uint32_t number = 0; number < 1000; ++number) {
    from_number(number);
    knock(7000);
    EXPECT_EQ(tracker().sources(), std::min(number + 1, 100u));
    expect("openSSH: Stage 1");
  }
  from_number(899);  // dropped, as the oldest
  knock(8000);
  expect_nothing();
  from_number(900);  // the oldest that is left
  knock(8000);
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, DropsTheLeastAdvancedFirst) {
  options.bounds.max_sources = 3;
  door("openSSH", "7000,8000,9000");
  from("203.0.113.1");
  knock(7000);
  knock(8000);
  expect("openSSH: Stage 1, openSSH: Stage 2");
  for (uint32_t number = 0; number < 50; ++number) {
    from_number(number);
    knock(7000);
    expect("openSSH: Stage 1");
  }
  from("203.0.113.1");
  knock(9000);
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, DropsThoseWithoutAttemptBeforeOthers) {
  options.bounds.max_sources = 2;
  door("bell", "1000");
  door("openSSH", "7000,8000");
  from("203.0.113.1");
  knock(7000);
  from("203.0.113.2");
  knock(1000);  // younger, but done
  expect("openSSH: Stage 1, bell: OPEN SESAME");
  from("203.0.113.3");
  knock(7000);
  expect("openSSH: Stage 1");
  from("203.0.113.1");
  knock(8000);
  expect("openSSH: OPEN SESAME");
}

// A source that has just opened a door and knocks at the next one has an attempt.
TEST_F(TrackerTest, KeepsASourcesAttempt_WhenItHasOpenedAnotherDoor) {
  options.bounds.max_sources = 4;
  door("bell", "1000");
  door("openSSH", "7000,8000,9000");
  from("203.0.113.1");
  knock(1000);
  knock(7000);
  knock(8000);
  expect("bell: OPEN SESAME, openSSH: Stage 1, openSSH: Stage 2");
  for (uint32_t number = 0; number < 50; ++number) {
    from_number(number);
    knock(7000);
    expect("openSSH: Stage 1");
  }
  EXPECT_EQ(tracker().sources(), 4u);
  from("203.0.113.1");
  knock(9000);
  expect("openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, ServesASingleSource) {
  options.bounds.max_sources = 1;
  door("back", "7000,8000");
  door("front", "7000,9000");
  knock(7000);
  expect("back: Stage 1, front: Stage 1");
  from("203.0.113.2");
  knock(7000);
  expect("back: Stage 1, front: Stage 1");
  EXPECT_EQ(tracker().sources(), 1u);
  knock(9000);
  expect("front: OPEN SESAME");
}

TEST_F(TrackerTest, HasRoomForAnAttemptAtEachDoor_WithFewSources) {
  options.bounds.max_sources = 1;
  for (uint16_t i = 1; i <= 100; ++i) door("door", format("7000,%d", 8000 + i));
  knock(7000);
  expect_all_shut();
  knock(8001);
  expect("door: OPEN SESAME");
}

TEST_F(TrackerTest, ForgetsASource_WhenItsLastAttemptIsOver) {
  door("back", "7000,8000");
  door("front", "7000,9000");
  knock(7000);
  expect("back: Stage 1, front: Stage 1");
  EXPECT_EQ(tracker().sources(), 1u);
  knock(9000);
  expect("front: OPEN SESAME");
  EXPECT_EQ(tracker().sources(), 1u);
  after(64s);
  EXPECT_EQ(tracker().sources(), 0u);
}

// ---- why ----

TEST_F(TrackerTest, ReportsTheVerdictOfAPacket) {
  options.explain = true;
  options.bounds.scan_limit = 2;
  door("openSSH", "7000,8000,9000", {.cooldown = 5s, .flags = {kTcpSyn, 0}});
  const auto become = [&](Verdict expected, const char* what) {
    EXPECT_EQ(verdict, expected) << what;
  };
  to("192.0.2.99");
  knock(7000);
  become(Verdict::kNotAddressed, "to another");
  to("192.0.2.1");
  knock(22);
  become(Verdict::kPortOfNoDoor, "another port");
  knock(7000, kAck);
  become(Verdict::kFlagsRefused, "other flags");
  knock(8000);
  become(Verdict::kFirstOfNone, "the second knock at once");
  knock(7000);
  become(Verdict::kAccepted, "the first knock");
  retransmit();
  become(Verdict::kRetransmission, "it again");
  knock(7000);
  become(Verdict::kRepeated, "one like it");
  knock(22);
  become(Verdict::kScanCounted, "a scan");
  knock(8000);
  knock(9000);
  become(Verdict::kAccepted, "the last knock");
  knock(7000);
  become(Verdict::kCoolingDown, "too early");
  expect("openSSH: Stage 1, openSSH: Stage 2, openSSH: OPEN SESAME");
}

TEST_F(TrackerTest, ReportsInterfaceAndDestinationOfAKnock) {
  door("openSSH", "7000");
  send({.source = address("203.0.113.9"),
        .destination = address("192.0.2.1"),
        .destination_port = 7000,
        .tcp_flags = kSyn,
        .interface_index = 3});
  expect("openSSH: OPEN SESAME");
  EXPECT_EQ(event.interface_index, 3u);
  EXPECT_EQ(event.destination, address("192.0.2.1"));
}

// ---- memory ----

TEST(TrackerMemory, LackOfMemoryIsReported_BeforeTheFirstPacket) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer needs memory of its own";
#endif
  const std::string enough_for = in_child([]() -> std::string {
    const rlimit limit{256 << 20, 256 << 20};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return "no limit";
    rlimit set{};
    if (getrlimit(RLIMIT_AS, &set) != 0 || set.rlim_cur != limit.rlim_cur) return "any";
    struct : TrackerSink {
      void on_event(const KnockEvent&) override {}
      void on_explanation(const Explanation&) override {}
    } sink;
    TrackerOptions options;
    options.bounds.max_sources = 1000;
    if (!Tracker({}, options, sink).has_memory()) return "not even for few";
    options.bounds.max_sources = 4194304;
    return Tracker({}, options, sink).has_memory() ? "more than there is" : "for few";
  });
  if (enough_for == "any") GTEST_SKIP() << "no limit of memory can be set: qemu only pretends to";
  EXPECT_EQ(enough_for, "for few");
}

}  // namespace
}  // namespace knockd
