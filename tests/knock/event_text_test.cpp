// SPDX-License-Identifier: MIT
// The lines that logwatch and other programs match: knockd(8), LOG.
#include "knockd/knock/event_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "knockd/net/tcp_flags.h"

namespace knockd {
namespace {

const IpAddress kKnocker = IpAddress::parse("192.0.2.7").value();
const IpAddress kKnocker6 = IpAddress::parse("2001:db8::7").value();

KnockEvent event(EventKind kind, uint8_t stage) {
  KnockEvent event;
  event.kind = kind;
  event.stage = stage;
  event.door = 0;
  event.source = kKnocker;
  return event;
}

TEST(SourceText, IsTheAddress) {
  EXPECT_EQ(source_text(kKnocker, ""), "192.0.2.7");
  EXPECT_EQ(source_text(kKnocker6, ""), "2001:db8::7");
}

TEST(SourceText, NameFollowsInParentheses) {
  EXPECT_EQ(source_text(kKnocker, "host.example"), "192.0.2.7 (host.example)");
}

TEST(EventLine, Stage) {
  EXPECT_EQ(event_line(event(EventKind::kStage, 1), "openSSH", "192.0.2.7"),
            "192.0.2.7: openSSH: Stage 1");
  EXPECT_EQ(event_line(event(EventKind::kStage, 31), "openSSH", "2001:db8::7"),
            "2001:db8::7: openSSH: Stage 31");
}

TEST(EventLine, Timeout) {
  EXPECT_EQ(event_line(event(EventKind::kTimeout, 2), "openSSH", "192.0.2.7"),
            "192.0.2.7: openSSH: sequence timeout (stage 2)");
}

TEST(EventLine, Scan) {
  EXPECT_EQ(event_line(event(EventKind::kScan, 2), "openSSH", "192.0.2.7"),
            "192.0.2.7: openSSH: port scan, knock discarded");
}

TEST(EventLine, NameOfTheSourceFollowsItsAddress) {
  EXPECT_EQ(event_line(event(EventKind::kStage, 1), "openSSH", "192.0.2.7 (host.example)"),
            "192.0.2.7 (host.example): openSSH: Stage 1");
}

TEST(EventLine, DoorNameIsNotAFormatString) {
  EXPECT_EQ(event_line(event(EventKind::kStage, 1), "%s%n", "192.0.2.7"),
            "192.0.2.7: %s%n: Stage 1");
}

TEST(NoMoreSequencesLine, NamesDoorAndFile) {
  EXPECT_EQ(no_more_sequences_line("once", "/etc/knockd/list"),
            "once: no more sequences in the one time sequences file /etc/knockd/list, "
            "door disabled");
}

Packet tcp_packet(uint8_t flags) {
  Packet packet;
  packet.source = kKnocker;
  packet.destination = IpAddress::parse("198.51.100.1").value();
  packet.source_port = 40000;
  packet.destination_port = 7000;
  packet.tcp_flags = flags;
  packet.length = 74;
  return packet;
}

std::string line(Verdict verdict, std::string_view door, uint8_t stage = 0) {
  Explanation explanation;
  explanation.packet = tcp_packet(kTcpSyn);
  explanation.verdict = verdict;
  explanation.door = door.empty() ? kNoDoor : DoorNumber{0};
  explanation.stage = stage;
  std::string text = explanation_line(explanation, door);
  const std::string packet = "tcp: 192.0.2.7:40000 -> 198.51.100.1:7000 74 bytes, syn: ";
  EXPECT_TRUE(text.starts_with(packet)) << text;
  return text.substr(std::min(packet.size(), text.size()));
}

TEST(ExplanationLine, ReportsEachVerdict) {
  EXPECT_EQ(line(Verdict::kNotAddressed, ""), "to an address at which no door is");
  EXPECT_EQ(line(Verdict::kPortOfNoDoor, ""), "port of no door");
  EXPECT_EQ(line(Verdict::kFlagsRefused, ""), "a door has this port, but not with these tcp flags");
  EXPECT_EQ(line(Verdict::kFlagsRefused, "ssh"), "ssh: these tcp flags do not count here");
  EXPECT_EQ(line(Verdict::kRetransmission, ""),
            "retransmission of a knock accepted before, ignored");
  EXPECT_EQ(line(Verdict::kAccepted, "ssh", 2), "ssh: knock 2 accepted");
  EXPECT_EQ(line(Verdict::kRepeated, "ssh", 2), "ssh: knock 2 repeated, ignored");
  EXPECT_EQ(line(Verdict::kWrongKnock, "ssh", 2), "ssh: wrong knock after stage 2, attempt over");
  EXPECT_EQ(line(Verdict::kCoolingDown, "ssh"), "ssh: cooling down, ignored");
  EXPECT_EQ(line(Verdict::kFirstOfNone, ""),
            "a knock, but the first of no door, and no attempt waits for it");
  EXPECT_EQ(line(Verdict::kScanCounted, "ssh"),
            "ssh: no knock of this door, counted as a port scan");
}

TEST(ExplanationLine, NamesTheFlags) {
  Explanation explanation;
  explanation.verdict = Verdict::kPortOfNoDoor;
  explanation.packet = tcp_packet(kTcpFin | kTcpSyn | kTcpRst | kTcpPsh | kTcpAck | kTcpUrg);
  EXPECT_EQ(explanation_line(explanation, ""),
            "tcp: 192.0.2.7:40000 -> 198.51.100.1:7000 74 bytes, fin,syn,rst,psh,ack,urg: "
            "port of no door");
  explanation.packet = tcp_packet(0);
  EXPECT_EQ(explanation_line(explanation, ""),
            "tcp: 192.0.2.7:40000 -> 198.51.100.1:7000 74 bytes, no flags: port of no door");
}

TEST(ExplanationLine, UdpHasNoFlags_AndIPv6AddressesHaveBrackets) {
  Explanation explanation;
  explanation.verdict = Verdict::kPortOfNoDoor;
  explanation.packet = tcp_packet(0);
  explanation.packet.protocol = Protocol::kUdp;
  explanation.packet.source = explanation.packet.destination = kKnocker6;
  EXPECT_EQ(explanation_line(explanation, ""),
            "udp: [2001:db8::7]:40000 -> [2001:db8::7]:7000 74 bytes: port of no door");
}

OpenDoor port_door(const IpAddress& source, uint8_t prefix) {
  OpenDoor door;
  door.door = "ssh";
  door.source = source;
  door.admission = {{{22, Protocol::kTcp}, {51820, Protocol::kUdp}}, {}, prefix};
  return door;
}

TEST(AdmissionLines, NameDoorPortsAndAddress) {
  const OpenDoor door = port_door(kKnocker, 128);
  EXPECT_EQ(opened_line(door, std::chrono::hours(1), false),
            "ssh: opened tcp 22, udp 51820 to 192.0.2.7 for 3600 s");
  EXPECT_EQ(closed_line(door, false), "ssh: closed tcp 22, udp 51820 to 192.0.2.7");
  EXPECT_EQ(not_opened_line(door, "the set is full"),
            "ssh: cannot open tcp 22, udp 51820 to 192.0.2.7: the set is full");
  EXPECT_EQ(not_closed_line(door, "Operation not permitted"),
            "ssh: cannot close tcp 22, udp 51820 to 192.0.2.7 before its time is over: "
            "Operation not permitted");
}

TEST(AdmissionLines, UseTheConditional_InAReplay) {
  const OpenDoor door = port_door(kKnocker6, 128);
  EXPECT_EQ(opened_line(door, std::chrono::seconds(10), true),
            "ssh: would open tcp 22, udp 51820 to 2001:db8::7 for 10 s");
  EXPECT_EQ(closed_line(door, true), "ssh: would close tcp 22, udp 51820 to 2001:db8::7");
}

TEST(AdmissionLines, NameTheAdmittedNetwork) {
  EXPECT_EQ(closed_line(port_door(kKnocker, 96 + 24), false),
            "ssh: closed tcp 22, udp 51820 to 192.0.2.0/24");
  EXPECT_EQ(closed_line(port_door(kKnocker6, 64), false),
            "ssh: closed tcp 22, udp 51820 to 2001:db8::/64");
}

}  // namespace
}  // namespace knockd
