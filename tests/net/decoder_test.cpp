// SPDX-License-Identifier: MIT
#include "knockd/net/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/net/frames.h"
#include "tests/net/sample_frames.h"

namespace knockd {

// Prints the packet in failures, instead of its bytes.
static void PrintTo(const Packet& packet, std::ostream* out) {
  *out << protocol_name(packet.protocol) << ' ' << packet.source.to_string() << ':'
       << packet.source_port << " > " << packet.destination.to_string() << ':'
       << packet.destination_port << " flags " << int{packet.tcp_flags} << " sequence "
       << packet.tcp_sequence << " length " << packet.length << " interface "
       << packet.interface_index;
}

namespace {

using namespace frames;

const IpPayload kSyn = tcp(syn(40001, 7000));
const IpPayload kDatagram = udp(40001, 7000);

Decoded decode_whole(LinkType link_type, const Bytes& frame) {
  return decode(link_type, frame, static_cast<uint32_t>(frame.size()));
}

Decoded decode_raw(const LinkPayload& payload) {
  return decode_whole(LinkType::kRaw, raw(payload));
}

// A copy of the first `size` bytes, so that the address sanitizer sees reads past them.
Decoded decode_cut(LinkType link_type, const Bytes& frame, size_t size) {
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy_n(frame.begin(), size, exact.get());
  return decode(link_type, {exact.get(), size}, static_cast<uint32_t>(frame.size()));
}

testing::AssertionResult is_refused(const Decoded& decoded, NotAPacket reason) {
  if (decoded.packet) {
    return testing::AssertionFailure() << "is " << testing::PrintToString(*decoded.packet);
  }
  if (decoded.reason != reason) {
    return testing::AssertionFailure()
           << "is \"" << describe(decoded.reason) << "\", not \"" << describe(reason) << "\"";
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult is_knock_at(const Decoded& decoded, uint16_t port) {
  if (!decoded.packet) return testing::AssertionFailure() << "is " << describe(decoded.reason);
  if (decoded.packet->destination_port != port) {
    return testing::AssertionFailure() << "is " << testing::PrintToString(*decoded.packet);
  }
  return testing::AssertionSuccess();
}

// ---- the samples ----

TEST(Decoder, SampleFramesAreTheirPackets) {
  for (const SampleFrame& sample : sample_frames()) {
    SCOPED_TRACE(sample.name);
    const Decoded decoded = sample.decoded();
    ASSERT_TRUE(decoded.packet) << describe(decoded.reason);
    EXPECT_EQ(*decoded.packet, sample.packet);
  }
}

TEST(Decoder, SampleFramesCutAnywhereAreThePacketOrTruncated) {
  for (const SampleFrame& sample : sample_frames()) {
    for (size_t size = 0; size <= sample.bytes.size(); ++size) {
      SCOPED_TRACE(sample.name + " cut to " + std::to_string(size));
      const Decoded decoded = decode_cut(sample.link_type, sample.bytes, size);
      if (decoded.packet) {
        EXPECT_EQ(*decoded.packet, sample.packet);
      } else {
        EXPECT_TRUE(is_refused(decoded, NotAPacket::kTruncated));
      }
    }
  }
}

TEST(Decoder, PacketIsWhole_WhenCaptureEndsAfterTheNeededBytes) {
  const Bytes segment = raw(ipv4(kSyn));
  EXPECT_TRUE(decode_cut(LinkType::kRaw, segment, 20 + 14).packet);  // behind the flags
  EXPECT_FALSE(decode_cut(LinkType::kRaw, segment, 20 + 13).packet);
  const Bytes datagram = raw(ipv4(kDatagram));
  EXPECT_TRUE(decode_cut(LinkType::kRaw, datagram, 20 + 8).packet);
  EXPECT_FALSE(decode_cut(LinkType::kRaw, datagram, 20 + 7).packet);
}

TEST(Decoder, LengthIsThatOnTheWire_WhenCaptureIsShorter) {
  const Bytes frame = ethernet(ipv4(kSyn));
  EXPECT_EQ(decode(LinkType::kEthernet, frame, 1500).packet->length, 1500U);
}

// The seeds of tests/fuzz/decoder_fuzzer.cpp: the number of the link type, then the frame.
// KNOCKD_WRITE_CORPUS=1 writes them anew.
TEST(Decoder, SampleFramesAreSeedsOfTheFuzzer) {
  const std::filesystem::path corpus =
      std::filesystem::path(KNOCKD_TEST_DATA).parent_path() / "fuzz/corpus/decoder";
  for (const SampleFrame& sample : sample_frames()) {
    SCOPED_TRACE(sample.name);
    std::string seed(1, static_cast<char>(sample.link_type));
    seed.append(sample.bytes.begin(), sample.bytes.end());
    if (std::getenv("KNOCKD_WRITE_CORPUS") != nullptr) {
      std::ofstream(corpus / sample.name, std::ios::binary) << seed;
    }
    std::ifstream file(corpus / sample.name, std::ios::binary);
    const std::string found((std::istreambuf_iterator<char>(file)), {});
    EXPECT_TRUE(found == seed) << "not in " << corpus;
  }
}

// ---- links ----

LinkPayload tagged(int tags, LinkPayload payload) {
  for (int i = 0; i < tags; ++i) payload = vlan(10, payload);
  return payload;
}

TEST(Decoder, VlanTagsAreSkipped) {
  for (const uint16_t ether_type : std::vector<uint16_t>{0x8100, 0x88a8, 0x9100}) {
    const Bytes frame = ethernet(vlan(10, ipv4(kSyn), ether_type));
    EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kEthernet, frame), 7000)) << ether_type;
  }
  const LinkPayload payload = vlan(0, ipv6(kSyn));  // a priority tag
  EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kEthernet, ethernet(payload)), 7000));
  EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kLinuxCooked, cooked(payload)), 7000));
  EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kLinuxCooked2, cooked2(payload, 1)), 7000));
}

TEST(Decoder, VlanTagsAreBounded) {
  const Bytes most = ethernet(tagged(8, ipv4(kSyn)));
  EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kEthernet, most), 7000));
  const Bytes too_many = ethernet(tagged(9, ipv4(kSyn)));
  EXPECT_TRUE(is_refused(decode_whole(LinkType::kEthernet, too_many), NotAPacket::kMalformed));
}

// An "any" capture on Linux 6.18 contains such frames with two and three tags.
TEST(Decoder, TagsThatACookedHeaderDoesNotNameAreSkipped) {
  for (const int tags : {1, 2}) {
    for (const LinkPayload& inner : {ipv4(kSyn), ipv6(kSyn)}) {
      LinkPayload payload = tagged(tags, inner);
      payload.ether_type = inner.ether_type;
      EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kLinuxCooked2, cooked2(payload, 1)), 7000));
      EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kLinuxCooked, cooked(payload)), 7000));
      EXPECT_FALSE(decode_whole(LinkType::kEthernet, ethernet(payload)).packet);
    }
  }
}

TEST(Decoder, PacketOf2048BytesIsNotReadAsATag) {
  const LinkPayload payload = ipv4(kDatagram, {.total_length = 0x0800});
  EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kLinuxCooked2, cooked2(payload, 1)), 7000));
}

TEST(Decoder, LoopbackIsReadInEitherByteOrder) {
  for (const ByteOrder order : {ByteOrder::kNetwork, ByteOrder::kSwapped}) {
    const Bytes frame = loopback(2, ipv4(kSyn), order);
    EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kLoopback, frame), 7000));
    for (const uint32_t family : {10U, 24U, 28U, 30U}) {
      const Bytes frame6 = loopback(family, ipv6(kSyn), order);
      EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kLoopback, frame6), 7000)) << family;
    }
  }
}

TEST(Decoder, FramesWithoutIpAreNotIp) {
  const LinkPayload llc = {0x0026, Bytes(60, 0x42)};     // IEEE 802.3 with a length
  const LinkPayload cooked_802_3 = {0x0001, Bytes(60)};  // the numbers of LINKTYPE_LINUX_SLL
  const LinkPayload cooked_802_2 = {0x0004, Bytes(60, 0x42)};
  const struct {
    LinkType link_type;
    Bytes frame;
  } cases[] = {
      {LinkType::kEthernet, ethernet(arp())},
      {LinkType::kEthernet, ethernet(vlan(10, arp()))},
      {LinkType::kEthernet, ethernet(llc)},
      {LinkType::kLinuxCooked, cooked(arp())},
      {LinkType::kLinuxCooked, cooked(cooked_802_3)},
      {LinkType::kLinuxCooked, cooked(cooked_802_2)},
      {LinkType::kLinuxCooked2, cooked2(arp(), 1)},
      {LinkType::kRaw, {0x00, 0x01}},
      {LinkType::kRaw, {0x50}},
      {LinkType::kLoopback, loopback(1, ipv4(kSyn))},
      {LinkType::kLoopback, loopback(0x00020000, ipv4(kSyn))},
  };
  for (const auto& [link_type, frame] : cases) {
    EXPECT_TRUE(is_refused(decode_whole(link_type, frame), NotAPacket::kNotIp))
        << testing::PrintToString(frame);
  }
}

// ---- IP ----

TEST(Decoder, PaddingBehindTotalLengthIsNotRead) {
  Bytes frame = ethernet(ipv4(kSyn, {.total_length = 20 + 12}));
  frame.resize(60, 0xff);
  EXPECT_TRUE(is_refused(decode_whole(LinkType::kEthernet, frame), NotAPacket::kMalformed));
  Bytes frame6 = ethernet(ipv6(kDatagram, {.payload_length = 4}));
  frame6.resize(80, 0xff);
  EXPECT_TRUE(is_refused(decode_whole(LinkType::kEthernet, frame6), NotAPacket::kMalformed));
}

TEST(Decoder, PaddedFrameIsAPacket) {
  Bytes frame = ethernet(ipv4(kSyn));
  frame.resize(60, 0xff);
  EXPECT_TRUE(is_knock_at(decode_whole(LinkType::kEthernet, frame), 7000));
}

TEST(Decoder, LengthZeroMeansTheRestOfTheFrame) {
  const Datagram unsaid = {.destination_port = 7000, .payload = {'x'}, .length = 0};
  EXPECT_TRUE(is_knock_at(decode_raw(ipv4(kSyn, {.total_length = 0})), 7000));
  EXPECT_TRUE(is_knock_at(decode_raw(ipv6(kSyn, {.payload_length = 0})), 7000));
  EXPECT_TRUE(is_knock_at(decode_raw(ipv6(hop_by_hop(kSyn), {.payload_length = 0})), 7000));
  EXPECT_TRUE(is_knock_at(decode_raw(ipv6(udp(unsaid), {.payload_length = 0})), 7000));
  EXPECT_TRUE(is_refused(decode_raw(ipv6(udp(unsaid))), NotAPacket::kMalformed));
}

TEST(Decoder, EachExtensionHeaderIsSkipped) {
  for (const uint8_t type : Bytes{0, 43, 60, 135, 139, 140}) {
    for (const uint8_t units : Bytes{0, 1, 31}) {
      EXPECT_TRUE(is_knock_at(decode_raw(ipv6(extension_header(type, kSyn, units))), 7000))
          << int{type} << " of " << int{units};
    }
  }
  for (const uint8_t words : Bytes{0, 1, 3, 8}) {
    EXPECT_TRUE(is_knock_at(decode_raw(ipv6(authentication(kDatagram, words))), 7000));
  }
}

TEST(Decoder, ExtensionHeadersAreBounded) {
  IpPayload payload = kSyn;
  for (int i = 0; i < 12; ++i) payload = destination_options(payload);
  EXPECT_TRUE(is_knock_at(decode_raw(ipv6(payload)), 7000));
  payload = destination_options(payload);
  EXPECT_TRUE(is_refused(decode_raw(ipv6(payload)), NotAPacket::kMalformed));
}

TEST(Decoder, OnlyTheFirstFragmentIsAPacket) {
  EXPECT_TRUE(is_knock_at(decode_raw(ipv4(kSyn, {.more_fragments = true})), 7000));
  EXPECT_TRUE(is_knock_at(decode_raw(ipv6(fragment(kSyn, 0, true))), 7000));
  const IpPayload first = udp({.destination_port = 7000, .payload = Bytes(8), .length = 4000});
  EXPECT_TRUE(is_knock_at(decode_raw(ipv4(first, {.more_fragments = true})), 7000));
  for (const uint16_t offset : std::vector<uint16_t>{1, 185, 0x1000, 0x1fff}) {
    for (const bool more : {false, true}) {
      const Ipv4 header = {.fragment_offset = offset, .more_fragments = more};
      EXPECT_TRUE(is_refused(decode_raw(ipv4(kSyn, header)), NotAPacket::kLaterFragment));
      EXPECT_TRUE(
          is_refused(decode_raw(ipv6(fragment(kSyn, offset, more))), NotAPacket::kLaterFragment));
    }
  }
}

TEST(Decoder, OtherProtocolsAreNeitherTcpNorUdp) {
  constexpr uint8_t kIpv4InIp = 4;
  constexpr uint8_t kEncapsulatingSecurity = 50;
  constexpr uint8_t kNoNextHeader = 59;
  constexpr uint8_t kSctp = 132;
  for (const uint8_t protocol : {kIpv4InIp, kEncapsulatingSecurity, kNoNextHeader, kSctp}) {
    const IpPayload payload = {protocol, kSyn.bytes};
    EXPECT_TRUE(is_refused(decode_raw(ipv4(payload)), NotAPacket::kNotTcpOrUdp)) << int{protocol};
    EXPECT_TRUE(is_refused(decode_raw(ipv6(payload)), NotAPacket::kNotTcpOrUdp)) << int{protocol};
    EXPECT_TRUE(is_refused(decode_raw(ipv6(hop_by_hop(payload))), NotAPacket::kNotTcpOrUdp))
        << int{protocol};
  }
  EXPECT_TRUE(is_refused(decode_raw(ipv4(icmp(1))), NotAPacket::kNotTcpOrUdp));
  EXPECT_TRUE(is_refused(decode_raw(ipv6(icmp(58))), NotAPacket::kNotTcpOrUdp));
  EXPECT_TRUE(is_refused(decode_raw(ipv4(hop_by_hop(kSyn))), NotAPacket::kNotTcpOrUdp))
      << "extension headers are IPv6's";
}

TEST(Decoder, Ipv6PacketCannotPassForIpv4) {
  const LinkPayload from = ipv6(kSyn, {.source = "::ffff:192.0.2.9"});
  const LinkPayload to = ipv6(kSyn, {.destination = "::ffff:192.0.2.1"});
  EXPECT_TRUE(is_refused(decode_raw(from), NotAPacket::kMalformed));
  EXPECT_TRUE(is_refused(decode_raw(to), NotAPacket::kMalformed));
}

TEST(Decoder, SourceIsTheAddressOfOneHost) {
  for (const char* source :
       {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "255.255.255.255"}) {
    EXPECT_TRUE(is_refused(decode_raw(ipv4(kSyn, {.source = source})), NotAPacket::kNoSender))
        << source;
  }
  for (const char* source : {"::", "ff02::1", "ffff::1"}) {
    EXPECT_TRUE(is_refused(decode_raw(ipv6(kSyn, {.source = source})), NotAPacket::kNoSender))
        << source;
  }
}

// ---- TCP and UDP ----

TEST(Decoder, TcpFlagsAreTheSixClassicOnes) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    const Segment segment = {.destination_port = 7000, .flags = static_cast<uint8_t>(flags)};
    const Decoded decoded = decode_raw(ipv4(tcp(segment)));
    ASSERT_TRUE(decoded.packet);
    EXPECT_EQ(decoded.packet->tcp_flags, flags & 0x3f);
  }
}

TEST(Decoder, NumbersAreInNetworkOrder) {
  const Segment segment = {
      .source_port = 0x0102, .destination_port = 0xfffe, .sequence = 0xfedcba98};
  const Decoded decoded = decode_raw(ipv4(tcp(segment)));
  ASSERT_TRUE(decoded.packet);
  EXPECT_EQ(decoded.packet->source_port, 0x0102);
  EXPECT_EQ(decoded.packet->destination_port, 0xfffe);
  EXPECT_EQ(decoded.packet->tcp_sequence, 0xfedcba98U);
}

TEST(Decoder, ContradictionsAreMalformed) {
  const auto with_offset = [](uint8_t words) {
    return tcp({.destination_port = 7000, .data_offset = words});
  };
  const auto with_length = [](uint16_t bytes) {
    return udp({.destination_port = 7000, .length = bytes});
  };
  const struct {
    const char* name;
    LinkPayload payload;
  } cases[] = {
      {"IPv4 header of 4 words", ipv4(kSyn, {.header_words = 4})},
      {"IPv4 header without size", ipv4(kSyn, {.header_words = 0})},
      {"IPv4 header of 4 words, total length unsaid",
       ipv4(kSyn, {.header_words = 4, .total_length = 0})},
      {"total length within the header", ipv4(kSyn, {.total_length = 19})},
      {"total length within the options", ipv4(kSyn, {.options = Bytes(8, 1), .total_length = 27})},
      {"total length within the ports", ipv4(kSyn, {.total_length = 23})},
      {"total length within the flags", ipv4(kSyn, {.total_length = 33})},
      {"total length within the tcp header", ipv4(kSyn, {.total_length = 39})},
      {"total length within the udp header", ipv4(kDatagram, {.total_length = 27})},
      {"first fragment within the tcp header",
       ipv4({6, Bytes(kSyn.bytes.begin(), kSyn.bytes.begin() + 16)}, {.more_fragments = true})},
      {"payload length within the tcp header", ipv6(kSyn, {.payload_length = 19})},
      {"payload length within the udp header", ipv6(kDatagram, {.payload_length = 7})},
      {"payload length within an extension header", ipv6(routing(kSyn), {.payload_length = 23})},
      {"extension header longer than the payload", ipv6({0, {6, 200, 0, 0, 0, 0, 0, 0}})},
      {"authentication header longer than the payload", ipv6({51, {6, 255, 0, 0}})},
      {"tcp header without size", ipv4(with_offset(0))},
      {"tcp header of 4 words", ipv4(with_offset(4))},
      {"tcp header longer than the segment", ipv4(with_offset(6))},
      {"tcp header of 4 words by IPv6", ipv6(with_offset(4))},
      {"udp length 0", ipv4(with_length(0))},
      {"udp length 7", ipv4(with_length(7))},
      {"udp length 7 by IPv6", ipv6(with_length(7))},
      {"udp length 7 in a jumbogram", ipv6(with_length(7), {.payload_length = 0})},
  };
  for (const auto& [name, payload] : cases) {
    EXPECT_TRUE(is_refused(decode_raw(payload), NotAPacket::kMalformed)) << name;
    const Bytes frame = ethernet(payload);
    for (size_t size = 0; size <= frame.size(); ++size) {
      EXPECT_FALSE(decode_cut(LinkType::kEthernet, frame, size).packet) << name << " at " << size;
    }
  }
}

TEST(Decoder, VersionMustBeThatOfTheLink) {
  EXPECT_TRUE(is_refused(decode_whole(LinkType::kEthernet, ethernet(ipv4(kSyn, {.version = 6}))),
                         NotAPacket::kMalformed));
  EXPECT_TRUE(is_refused(decode_whole(LinkType::kEthernet, ethernet(ipv6(kSyn, {.version = 4}))),
                         NotAPacket::kMalformed));
}

TEST(Decoder, EveryReasonHasAText) {
  std::vector<std::string> words;
  for (const NotAPacket reason :
       {NotAPacket::kTruncated, NotAPacket::kMalformed, NotAPacket::kNotIp,
        NotAPacket::kNotTcpOrUdp, NotAPacket::kLaterFragment, NotAPacket::kNoSender}) {
    words.emplace_back(describe(reason));
  }
  std::sort(words.begin(), words.end());
  EXPECT_EQ(std::adjacent_find(words.begin(), words.end()), words.end());
  EXPECT_FALSE(words.front().empty());
}

}  // namespace
}  // namespace knockd
