// SPDX-License-Identifier: MIT
// A hand-made TCP header, for knocks with flags that no connection begins with. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "knockd/net/address.h"

namespace knockd::client {

inline constexpr size_t kTcpHeaderSize = 20;  // without options (RFC 9293, 3.1)
using TcpHeader = std::array<uint8_t, kTcpHeaderSize>;

struct Segment {
  IpAddress source;
  IpAddress destination;
  uint16_t source_port = 0;  // host order
  uint16_t destination_port = 0;
  uint32_t sequence = 0;
  uint8_t flags = 0;
};

// The bytes that follow the IP header, checksum included (RFC 9293, 3.1; RFC 8200, 8.1).
TcpHeader encode(const Segment& segment);

}  // namespace knockd::client
