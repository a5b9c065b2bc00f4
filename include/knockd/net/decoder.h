// SPDX-License-Identifier: MIT
// Decodes a captured frame down to the TCP or UDP header. Every read goes through ByteReader, so a
// short or lying frame results in a reason, never in a read outside the buffer. Independent of
// doors and of this host's addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "knockd/net/link_type.h"
#include "knockd/net/packet.h"

namespace knockd {

// Why a frame is no packet for us.
enum class NotAPacket : uint8_t {
  kTruncated,      // the capture ends before the header does
  kMalformed,      // a length or version that contradicts itself
  kNotIp,          // ARP, IPv6-less and IPv4-less frames
  kNotTcpOrUdp,    // ICMP and others
  kLaterFragment,  // a fragment with an offset has no ports (RFC 791, 3.2; RFC 8200, 4.5)
  kNoSender        // its source is not the address of a single host
};

// A short English reason for a log line.
const char* describe(NotAPacket reason);

struct Decoded {
  std::optional<Packet> packet;
  NotAPacket reason = NotAPacket::kMalformed;  // valid only when there is no packet
};

// Decodes one frame. `captured` is the captured part, `wire_length` the length on the wire in
// bytes. IPv4 options and IPv6 extension headers are skipped. An IPv6 packet with IPv4-mapped
// addresses is malformed: they never occur on the wire (RFC 4291, 2.5.5.2; RFC 6890), and it could
// otherwise pass for an IPv4 packet.
//
// Checksums are ignored: where the network card computes them, this host's own packets are captured
// without. `wire_length` is not compared with the lengths in the headers: a capture truncated by a
// tool may have a wrong one.
Decoded decode(LinkType link_type, std::span<const uint8_t> captured, uint32_t wire_length);
// The same without a copy: decodes into the caller's packet, whose content is undefined after a
// refusal.
std::optional<NotAPacket> decode_into(Packet& packet, LinkType link_type,
                                      std::span<const uint8_t> captured, uint32_t wire_length);

}  // namespace knockd
