// SPDX-License-Identifier: MIT
// The fields of a TCP segment or UDP datagram that identify a knock, as found by the decoder.
#pragma once

#include <cstdint>

#include "knockd/net/address.h"

namespace knockd {

// The numbers of the IP header (IANA protocol numbers).
enum class Protocol : uint8_t { kTcp = 6, kUdp = 17 };

constexpr const char* protocol_name(Protocol protocol) {
  return protocol == Protocol::kUdp ? "udp" : "tcp";
}

struct Packet {
  IpAddress source;
  IpAddress destination;
  uint16_t source_port = 0;       // host order
  uint16_t destination_port = 0;  // host order
  Protocol protocol = Protocol::kTcp;
  uint8_t tcp_flags = 0;      // bits of tcp_flags.h; 0 for udp
  uint32_t tcp_sequence = 0;  // sequence number, host order; 0 for udp
  uint32_t length = 0;        // bytes of the frame on the wire
  uint32_t interface_index =
      0;  // the interface it came by, where the frame says so (cooked v2); else 0

  friend bool operator==(const Packet&, const Packet&) = default;
};

}  // namespace knockd
