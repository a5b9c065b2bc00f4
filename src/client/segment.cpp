// SPDX-License-Identifier: MIT
#include "knockd/client/segment.h"

#include <span>

namespace knockd::client {
namespace {

constexpr uint8_t kProtocolTcp = 6;
constexpr uint16_t kWindow = 64240;  // of Linux in a first segment on Ethernet

void put16(std::span<uint8_t> at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

void put32(std::span<uint8_t> at, uint32_t value) {
  put16(at, static_cast<uint16_t>(value >> 16));
  put16(at.subspan(2), static_cast<uint16_t>(value));
}

// The sum of RFC 1071 over an even number of bytes, not yet folded.
uint32_t sum16(std::span<const uint8_t> bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) sum += uint32_t{bytes[i]} << 8 | bytes[i + 1];
  return sum;
}

std::span<const uint8_t> wire_bytes(const IpAddress& address) {
  const std::span<const uint8_t> bytes(address.bytes());
  return address.is_v4() ? bytes.subspan(12) : bytes;
}

// The pseudo headers of IPv4 and IPv6 differ only in the width of the addresses and in zeros.
uint16_t checksum(const Segment& segment, std::span<const uint8_t> header) {
  uint32_t sum = sum16(wire_bytes(segment.source)) + sum16(wire_bytes(segment.destination)) +
                 kProtocolTcp + static_cast<uint32_t>(header.size()) + sum16(header);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace

TcpHeader encode(const Segment& segment) {
  TcpHeader header{};
  const std::span<uint8_t> bytes(header);
  put16(bytes, segment.source_port);
  put16(bytes.subspan(2), segment.destination_port);
  put32(bytes.subspan(4), segment.sequence);
  header[12] = (kTcpHeaderSize / 4) << 4;
  header[13] = segment.flags;
  put16(bytes.subspan(14), kWindow);
  put16(bytes.subspan(16), checksum(segment, bytes));
  return header;
}

}  // namespace knockd::client
