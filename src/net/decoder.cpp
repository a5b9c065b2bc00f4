// SPDX-License-Identifier: MIT
// Follows a frame inwards: link header, VLAN tags, IP header, extension headers, TCP or UDP header.
// Each step reads and checks its header and passes the reader on; the first refusal is the result.
// Nothing is allocated, and each loop has a bound. Tests: tests/net/decoder_test.cpp and
// tests/fuzz/decoder_fuzzer.cpp.
#include "knockd/net/decoder.h"

#include "knockd/net/byte_reader.h"

namespace knockd {
namespace {

// IEEE 802 EtherTypes.
constexpr uint16_t kEtherTypeIpv4 = 0x0800;
constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr uint16_t kEtherTypeVlan = 0x8100;         // IEEE 802.1Q
constexpr uint16_t kEtherTypeServiceVlan = 0x88a8;  // IEEE 802.1ad
constexpr uint16_t kEtherTypeOldVlan = 0x9100;      // stacked tags from before 802.1ad

// IANA protocol numbers that precede TCP or UDP in IPv6.
constexpr uint8_t kHopByHopOptions = 0;
constexpr uint8_t kRouting = 43;
constexpr uint8_t kFragment = 44;
constexpr uint8_t kAuthentication = 51;
constexpr uint8_t kDestinationOptions = 60;
constexpr uint8_t kMobility = 135;
constexpr uint8_t kHostIdentity = 139;
constexpr uint8_t kShim6 = 140;

// Real frames have one or two tags, and each extension header once (RFC 8200, 4.1). The bounds
// limit the cost of a hostile frame.
constexpr int kMaxVlanTags = 8;
constexpr int kMaxExtensionHeaders = 12;

constexpr size_t kEthernetHeaderSize = 14;
constexpr size_t kIpv4HeaderSize = 20;  // without options
constexpr size_t kIpv6HeaderSize = 40;
constexpr size_t kTcpHeaderSize = 20;  // without options
constexpr size_t kTcpHeaderToFlags = 14;
constexpr size_t kUdpHeaderSize = 8;

using Refusal = std::optional<NotAPacket>;

Refusal refusal_of(const ByteReader& reader) {
  switch (reader.failure()) {
    case ByteReader::Failure::kNone:
      return std::nullopt;
    case ByteReader::Failure::kPastEnd:
      return NotAPacket::kTruncated;
    case ByteReader::Failure::kPastLimit:
      break;
  }
  return NotAPacket::kMalformed;
}

// RFC 9293, 3.1. The capture may end after the flags: a knock needs nothing beyond them.
Refusal read_tcp(ByteReader& reader, Packet& packet) {
  const size_t segment_size = reader.limit();
  const auto header = reader.take<kTcpHeaderToFlags>();
  if (!reader.ok()) return refusal_of(reader);
  packet.source_port = u16_at<0>(header);
  packet.destination_port = u16_at<2>(header);
  packet.tcp_sequence = u32_at<4>(header);
  packet.tcp_flags = header[13] & 0x3f;
  const size_t header_size = size_t{4} * (header[12] >> 4);
  if (header_size < kTcpHeaderSize || header_size > segment_size) return NotAPacket::kMalformed;
  return std::nullopt;
}

// RFC 768. The length may exceed the bytes here: a first fragment has the whole datagram's length.
Refusal read_udp(ByteReader& reader, Packet& packet) {
  const bool jumbo = reader.limit() == ByteReader::kNoLimit;
  const auto header = reader.take<kUdpHeaderSize>();
  if (!reader.ok()) return refusal_of(reader);
  packet.source_port = u16_at<0>(header);
  packet.destination_port = u16_at<2>(header);
  const uint16_t length = u16_at<4>(header);
  const bool unsaid = length == 0 && jumbo;  // RFC 2675, 4
  if (length < kUdpHeaderSize && !unsaid) return NotAPacket::kMalformed;
  return std::nullopt;
}

Refusal read_transport(uint8_t protocol, ByteReader& reader, Packet& packet) {
  switch (protocol) {
    case static_cast<uint8_t>(Protocol::kTcp):
      packet.protocol = Protocol::kTcp;
      return read_tcp(reader, packet);
    case static_cast<uint8_t>(Protocol::kUdp):
      packet.protocol = Protocol::kUdp;
      return read_udp(reader, packet);
    default:
      return NotAPacket::kNotTcpOrUdp;
  }
}

// RFC 791, 3.1.
Refusal read_ipv4(ByteReader& reader, Packet& packet) {
  const auto header = reader.take<kIpv4HeaderSize>();
  if (!reader.ok()) return refusal_of(reader);
  packet.source = IpAddress::from_v4(header.subspan<12, 4>());
  packet.destination = IpAddress::from_v4(header.subspan<16, 4>());
  const size_t header_size = size_t{4} * (header[0] & 0x0f);
  if (header[0] >> 4 != 4 || header_size < kIpv4HeaderSize) return NotAPacket::kMalformed;
  if (!packet.source.is_unicast()) return NotAPacket::kNoSender;
  // A short Ethernet frame is padded after the total length. 0 means that the frame was captured
  // before the network card split it into segments; such frames are not padded.
  const uint16_t total_length = u16_at<2>(header);
  if (total_length != 0) {
    if (total_length < header_size) return NotAPacket::kMalformed;
    reader.set_limit(total_length - kIpv4HeaderSize);
  }
  reader.skip(header_size - kIpv4HeaderSize);  // options
  const uint16_t fragment_offset = u16_at<6>(header) & 0x1fff;
  if (fragment_offset != 0) return NotAPacket::kLaterFragment;
  return read_transport(header[9], reader, packet);
}

bool is_extension_header(uint8_t protocol) {
  switch (protocol) {
    case kHopByHopOptions:
    case kRouting:
    case kFragment:
    case kAuthentication:
    case kDestinationOptions:
    case kMobility:
    case kHostIdentity:
    case kShim6:
      return true;
    default:
      return false;
  }
}

// The size in bytes of an extension header other than kFragment, from its length field.
size_t extension_size(uint8_t type, uint8_t length) {
  if (type == kAuthentication) return size_t{4} * (length + 2U);  // RFC 4302, 2.2
  return size_t{8} * (length + 1U);                               // RFC 8200, 4
}

// Skips the extension headers; `next_header` is the type of the next header, before and after.
Refusal pass_extension_headers(uint8_t& next_header, ByteReader& reader) {
  for (int passed = 0; is_extension_header(next_header); ++passed) {
    if (passed == kMaxExtensionHeaders) return NotAPacket::kMalformed;
    const uint8_t type = next_header;
    next_header = reader.u8();
    const uint8_t length = reader.u8();
    uint16_t fragment_offset = 0;
    if (type == kFragment) {  // RFC 8200, 4.5: the length is reserved, the size always 8
      fragment_offset = reader.u16() >> 3;
      reader.skip(4);  // identification
    } else {
      reader.skip(extension_size(type, length) - 2);
    }
    if (!reader.ok()) return refusal_of(reader);
    if (fragment_offset != 0) return NotAPacket::kLaterFragment;
  }
  return std::nullopt;
}

// RFC 8200, 3.
Refusal read_ipv6(ByteReader& reader, Packet& packet) {
  const auto header = reader.take<kIpv6HeaderSize>();
  if (!reader.ok()) return refusal_of(reader);
  packet.source = IpAddress::from_v6(header.subspan<8, 16>());
  packet.destination = IpAddress::from_v6(header.subspan<24, 16>());
  if (header[0] >> 4 != 6) return NotAPacket::kMalformed;
  if (packet.source.is_v4() || packet.destination.is_v4()) return NotAPacket::kMalformed;
  if (!packet.source.is_unicast()) return NotAPacket::kNoSender;
  const uint16_t payload_length = u16_at<4>(header);
  if (payload_length != 0) reader.set_limit(payload_length);  // 0: a jumbogram, RFC 2675, 3
  uint8_t next_header = header[6];
  if (const Refusal refusal = pass_extension_headers(next_header, reader)) return refusal;
  return read_transport(next_header, reader, packet);
}

bool is_vlan_tag(uint16_t ether_type) {
  return ether_type == kEtherTypeVlan || ether_type == kEtherTypeServiceVlan ||
         ether_type == kEtherTypeOldVlan;
}

// Reads what follows an EtherType.
Refusal read_tagged(uint16_t ether_type, ByteReader& reader, Packet& packet) {
  for (int passed = 0; is_vlan_tag(ether_type); ++passed) {
    if (passed == kMaxVlanTags) return NotAPacket::kMalformed;
    reader.skip(2);  // priority and VLAN number
    ether_type = reader.u16();
  }
  if (!reader.ok()) return refusal_of(reader);
  switch (ether_type) {
    case kEtherTypeIpv4:
      return read_ipv4(reader, packet);
    case kEtherTypeIpv6:
      return read_ipv6(reader, packet);
    default:
      return NotAPacket::kNotIp;
  }
}

// Linux removes the outer tag of a frame with several. In a cooked capture it then reports (as of
// 6.18) the EtherType after all tags, though the payload still begins with the inner tag. Skips
// such tags; mistaken for one, an IPv4 header would belong to a packet of 2048 or 33,024 bytes and
// more, an IPv6 header to one of 24 kB.
void pass_unnamed_tags(uint16_t ether_type, ByteReader& reader) {
  const int version = ether_type == kEtherTypeIpv4 ? 4 : 6;
  for (int passed = 0; passed < kMaxVlanTags; ++passed) {
    ByteReader ahead = reader;
    ahead.skip(2);  // priority and VLAN number
    const uint16_t next = ahead.u16();
    const bool last = next == ether_type && ahead.u8() >> 4 == version;
    if (!ahead.ok() || (!last && !is_vlan_tag(next))) return;
    reader.skip(4);
    if (last) return;
  }
}

// Reads what follows the EtherType of a cooked frame. In v1, libpcap restores the tag that the
// kernel removed.
Refusal read_cooked(uint16_t ether_type, ByteReader& reader, Packet& packet) {
  if (ether_type == kEtherTypeIpv4 || ether_type == kEtherTypeIpv6) {
    pass_unnamed_tags(ether_type, reader);
  }
  return read_tagged(ether_type, reader, packet);
}

Refusal read_ethernet(ByteReader& reader, Packet& packet) {
  const auto header = reader.take<kEthernetHeaderSize>();
  return read_tagged(u16_at<12>(header), reader, packet);
}

// LINKTYPE_LINUX_SLL.
Refusal read_linux_cooked(ByteReader& reader, Packet& packet) {
  reader.skip(14);  // packet type, device type, address size, address
  const uint16_t ether_type = reader.u16();
  return read_cooked(ether_type, reader, packet);
}

// LINKTYPE_LINUX_SLL2: the EtherType comes first, its payload after all other fields.
Refusal read_linux_cooked2(ByteReader& reader, Packet& packet) {
  const uint16_t ether_type = reader.u16();
  reader.skip(2);  // reserved
  packet.interface_index = reader.u32();
  reader.skip(12);  // device type, packet type, address size, address
  return read_cooked(ether_type, reader, packet);
}

// IPv4 and IPv6 differ by the version in the first byte.
Refusal read_raw(ByteReader& reader, Packet& packet) {
  ByteReader ahead = reader;
  const uint8_t version = ahead.u8() >> 4;
  if (!ahead.ok()) return refusal_of(ahead);
  if (version == 4) return read_ipv4(reader, packet);
  if (version == 6) return read_ipv6(reader, packet);
  return NotAPacket::kNotIp;
}

// LINKTYPE_NULL and LINKTYPE_LOOP: the address family as the capturing system numbers it, in its
// own byte order or the network's. The order is clear because families are small numbers.
Refusal read_loopback(ByteReader& reader, Packet& packet) {
  const uint32_t stored = reader.u32();
  if (!reader.ok()) return refusal_of(reader);
  const uint32_t family = stored > 0xffff ? __builtin_bswap32(stored) : stored;
  switch (family) {
    case 2:  // everywhere
      return read_ipv4(reader, packet);
    case 10:  // Linux
    case 24:  // NetBSD, OpenBSD
    case 28:  // FreeBSD
    case 30:  // macOS
      return read_ipv6(reader, packet);
    default:
      return NotAPacket::kNotIp;
  }
}

Refusal read_frame(LinkType link_type, ByteReader& reader, Packet& packet) {
  switch (link_type) {
    case LinkType::kEthernet:
      return read_ethernet(reader, packet);
    case LinkType::kLinuxCooked:
      return read_linux_cooked(reader, packet);
    case LinkType::kLinuxCooked2:
      return read_linux_cooked2(reader, packet);
    case LinkType::kRaw:
      return read_raw(reader, packet);
    case LinkType::kLoopback:
      return read_loopback(reader, packet);
  }
  return NotAPacket::kNotIp;
}

}  // namespace

const char* describe(NotAPacket reason) {
  switch (reason) {
    case NotAPacket::kTruncated:
      return "cut short in a header";
    case NotAPacket::kMalformed:
      return "malformed";
    case NotAPacket::kNotIp:
      return "neither IPv4 nor IPv6";
    case NotAPacket::kNotTcpOrUdp:
      return "neither tcp nor udp";
    case NotAPacket::kLaterFragment:
      return "a later fragment, which names no port";
    case NotAPacket::kNoSender:
      return "from an address that no host has";
  }
  return "not understood";
}

Refusal decode_into(Packet& packet, LinkType link_type, std::span<const uint8_t> captured,
                    uint32_t wire_length) {
  ByteReader reader(captured);
  packet = {};
  packet.length = wire_length;
  return read_frame(link_type, reader, packet);
}

Decoded decode(LinkType link_type, std::span<const uint8_t> captured, uint32_t wire_length) {
  Decoded decoded;
  Packet& packet = decoded.packet.emplace();
  if (const Refusal refusal = decode_into(packet, link_type, captured, wire_length)) {
    decoded.packet.reset();
    decoded.reason = *refusal;
  }
  return decoded;
}

}  // namespace knockd
