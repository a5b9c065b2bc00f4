// SPDX-License-Identifier: MIT
// Bytes to facts: takes a captured frame apart down to the TCP or UDP header. Every read goes
// through ByteReader, so a short or lying frame ends in a reason, never outside the buffer. Knows
// nothing of doors or addresses of this host.
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
  kNoSender        // its source is no address of one host
};

// A short English reason for a log line.
const char* describe(NotAPacket reason);

struct Decoded {
  std::optional<Packet> packet;
  NotAPacket reason = NotAPacket::kMalformed;  // holds only when there is no packet
};

// Decodes one frame. `captured` is what the capture kept of it, `wire_length` its length on the
// wire in bytes. IPv4 options and IPv6 extension headers are passed over. An IPv6 packet whose
// addresses are IPv4-mapped is malformed: such addresses never stand on a wire (RFC 4291, 2.5.5.2;
// RFC 6890), and it could otherwise pass for an IPv4 packet.
//
// Checksums are not looked at: where the network card computes them, this host's own packets are
// captured without. Nor is `wire_length` held against the lengths in the headers: a capture that a
// tool has cut may not tell the true one.
Decoded decode(LinkType link_type, std::span<const uint8_t> captured, uint32_t wire_length);
// The same, without a copy: into a packet of the caller's, which after a refusal holds anything.
std::optional<NotAPacket> decode_into(Packet& packet, LinkType link_type,
                                      std::span<const uint8_t> captured, uint32_t wire_length);

}  // namespace knockd
