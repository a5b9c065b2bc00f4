// SPDX-License-Identifier: MIT
// A small language for frames, in the order of the wire:
//
//   ethernet(vlan(10, ipv4(tcp(syn(1234, 7000)))))
//   cooked2(ipv6(destination_options(udp({.destination_port = 7000})), {.source = "2001:db8::9"}),
//   3)
//
// Lengths and types are filled in; checksums are left 0. A test that wants a faulty frame names the
// field (Ipv4::total_length and its like) or patches the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/net/address.h"
#include "knockd/net/tcp_flags.h"

namespace knockd::frames {

using Bytes = std::vector<uint8_t>;

// What an IP header carries, with its protocol number.
struct IpPayload {
  uint8_t protocol = 0;
  Bytes bytes;
};

// What a link header carries, with its EtherType.
struct LinkPayload {
  uint16_t ether_type = 0;
  Bytes bytes;
};

inline constexpr std::string_view kSource4 = "192.0.2.9";
inline constexpr std::string_view kDestination4 = "192.0.2.1";
inline constexpr std::string_view kSource6 = "2001:db8::9";
inline constexpr std::string_view kDestination6 = "2001:db8::1";

inline IpAddress address(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  if (!parsed) std::abort();
  return *parsed;
}

// Numbers in network order, one behind the other.
class Writer {
 public:
  Writer& u8(size_t value) {
    bytes_.push_back(static_cast<uint8_t>(value));
    return *this;
  }
  Writer& u16(size_t value) { return u8(value >> 8).u8(value); }
  Writer& u32(size_t value) { return u16(value >> 16).u16(value); }
  Writer& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  Writer& bytes(const Bytes& more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
  }
  Writer& ipv4_address(std::string_view text) {
    const IpAddress::Bytes all = address(text).bytes();
    bytes_.insert(bytes_.end(), all.begin() + 12, all.end());
    return *this;
  }
  Writer& ipv6_address(std::string_view text) {
    const IpAddress::Bytes all = address(text).bytes();
    bytes_.insert(bytes_.end(), all.begin(), all.end());
    return *this;
  }
  Bytes done() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

// ---- TCP and UDP ----

struct Segment {
  uint16_t source_port = 40000;
  uint16_t destination_port = 0;
  uint32_t sequence = 0x01020304;
  uint8_t flags = kTcpSyn;  // all eight bits of byte 13
  Bytes options = {};       // a multiple of 4 bytes
  Bytes payload = {};
  std::optional<uint8_t> data_offset = {};  // in 4-byte words; filled in if not said
};

inline Segment syn(uint16_t source_port, uint16_t destination_port) {
  return {.source_port = source_port, .destination_port = destination_port};
}

inline IpPayload tcp(const Segment& segment) {
  const size_t words =
      segment.data_offset.value_or(static_cast<uint8_t>((20 + segment.options.size()) / 4));
  return {6, Writer()
                 .u16(segment.source_port)
                 .u16(segment.destination_port)
                 .u32(segment.sequence)
                 .u32(0)  // acknowledgment number
                 .u8(words << 4)
                 .u8(segment.flags)
                 .u16(64240)  // window
                 .u32(0)      // checksum, urgent pointer
                 .bytes(segment.options)
                 .bytes(segment.payload)
                 .done()};
}

struct Datagram {
  uint16_t source_port = 40000;
  uint16_t destination_port = 0;
  Bytes payload = {};
  std::optional<uint16_t> length = {};  // filled in if not said
};

inline IpPayload udp(const Datagram& datagram) {
  return {17, Writer()
                  .u16(datagram.source_port)
                  .u16(datagram.destination_port)
                  .u16(datagram.length.value_or(static_cast<uint16_t>(8 + datagram.payload.size())))
                  .u16(0)  // checksum
                  .bytes(datagram.payload)
                  .done()};
}

inline IpPayload udp(uint16_t source_port, uint16_t destination_port) {
  return udp({.source_port = source_port, .destination_port = destination_port});
}

// An echo request, of either family by its protocol number (1 or 58).
inline IpPayload icmp(uint8_t protocol = 1) { return {protocol, Writer().u8(8).zeros(15).done()}; }

// ---- IPv6 extension headers ----

// A header of the common form of RFC 8200, 4, with `units` of 8 bytes after the first 8.
inline IpPayload extension_header(uint8_t type, const IpPayload& next, uint8_t units = 0) {
  return {
      type,
      Writer().u8(next.protocol).u8(units).zeros(6 + size_t{8} * units).bytes(next.bytes).done()};
}

inline IpPayload hop_by_hop(const IpPayload& next) { return extension_header(0, next); }
inline IpPayload routing(const IpPayload& next) { return extension_header(43, next, 2); }
inline IpPayload destination_options(const IpPayload& next) { return extension_header(60, next); }

// `offset` in units of 8 bytes.
inline IpPayload fragment(const IpPayload& next, uint16_t offset, bool more_follow) {
  return {44, Writer()
                  .u8(next.protocol)
                  .u8(0)
                  .u16(static_cast<size_t>(offset << 3) | (more_follow ? 1U : 0U))
                  .u32(0x1234)  // identification
                  .bytes(next.bytes)
                  .done()};
}

// RFC 4302, 2: the length counts words of 4 bytes, less 2.
inline IpPayload authentication(const IpPayload& next, uint8_t check_value_words = 3) {
  return {51, Writer()
                  .u8(next.protocol)
                  .u8(size_t{1} + check_value_words)
                  .u16(0)
                  .u32(0x100)  // security parameters index
                  .u32(1)      // sequence number
                  .zeros(size_t{4} * check_value_words)
                  .bytes(next.bytes)
                  .done()};
}

// ---- IP ----

struct Ipv4 {
  std::string_view source = kSource4;
  std::string_view destination = kDestination4;
  Bytes options = {};            // a multiple of 4 bytes
  uint16_t fragment_offset = 0;  // in units of 8 bytes
  bool more_fragments = false;
  uint8_t version = 4;
  std::optional<uint8_t> header_words = {};   // filled in if not said
  std::optional<uint16_t> total_length = {};  // filled in if not said
};

inline LinkPayload ipv4(const IpPayload& payload, const Ipv4& header = {}) {
  const size_t size = 20 + header.options.size();
  const size_t words = header.header_words.value_or(static_cast<uint8_t>(size / 4));
  return {0x0800,
          Writer()
              .u8(static_cast<size_t>(header.version) << 4 | words)
              .u8(0)  // type of service
              .u16(header.total_length.value_or(static_cast<uint16_t>(size + payload.bytes.size())))
              .u16(0x1234)  // identification
              .u16((header.more_fragments ? 0x2000U : 0U) | header.fragment_offset)
              .u8(64)  // time to live
              .u8(payload.protocol)
              .u16(0)  // checksum
              .ipv4_address(header.source)
              .ipv4_address(header.destination)
              .bytes(header.options)
              .bytes(payload.bytes)
              .done()};
}

struct Ipv6 {
  std::string_view source = kSource6;
  std::string_view destination = kDestination6;
  uint8_t version = 6;
  std::optional<uint16_t> payload_length = {};  // filled in if not said
};

inline LinkPayload ipv6(const IpPayload& payload, const Ipv6& header = {}) {
  return {0x86dd,
          Writer()
              .u8(static_cast<size_t>(header.version) << 4)
              .zeros(3)  // traffic class, flow label
              .u16(header.payload_length.value_or(static_cast<uint16_t>(payload.bytes.size())))
              .u8(payload.protocol)
              .u8(64)  // hop limit
              .ipv6_address(header.source)
              .ipv6_address(header.destination)
              .bytes(payload.bytes)
              .done()};
}

inline LinkPayload arp() { return {0x0806, Writer().u16(1).u16(0x0800).zeros(24).done()}; }

// ---- links ----

inline LinkPayload vlan(uint16_t number, const LinkPayload& next, uint16_t ether_type = 0x8100) {
  return {ether_type, Writer().u16(number).u16(next.ether_type).bytes(next.bytes).done()};
}

inline Bytes ethernet(const LinkPayload& payload) {
  return Writer()
      .bytes({0x02, 0, 0, 0, 0, 0x01})  // destination
      .bytes({0x02, 0, 0, 0, 0, 0x09})  // source
      .u16(payload.ether_type)
      .bytes(payload.bytes)
      .done();
}

inline Bytes cooked(const LinkPayload& payload) {
  return Writer()
      .u16(0)  // sent to this host
      .u16(1)  // device type: Ethernet
      .u16(6)  // address size
      .bytes({0x02, 0, 0, 0, 0, 0x09, 0, 0})
      .u16(payload.ether_type)
      .bytes(payload.bytes)
      .done();
}

inline Bytes cooked2(const LinkPayload& payload, uint32_t interface_index) {
  return Writer()
      .u16(payload.ether_type)
      .u16(0)
      .u32(interface_index)
      .u16(1)  // device type: Ethernet
      .u8(0)   // sent to this host
      .u8(6)   // address size
      .bytes({0x02, 0, 0, 0, 0, 0x09, 0, 0})
      .bytes(payload.bytes)
      .done();
}

inline Bytes raw(const LinkPayload& payload) { return payload.bytes; }

enum class ByteOrder { kNetwork, kSwapped };

inline Bytes loopback(uint32_t family, const LinkPayload& payload,
                      ByteOrder order = ByteOrder::kNetwork) {
  const uint32_t stored = order == ByteOrder::kNetwork ? family : __builtin_bswap32(family);
  return Writer().u32(stored).bytes(payload.bytes).done();
}

}  // namespace knockd::frames
