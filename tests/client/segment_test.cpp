// SPDX-License-Identifier: MIT
#include "knockd/client/segment.h"

#include <gtest/gtest.h>

#include <string_view>

#include "knockd/net/tcp_flags.h"

namespace knockd::client {
namespace {

Segment segment(std::string_view source, std::string_view destination) {
  Segment segment;
  segment.source = *IpAddress::parse(source);
  segment.destination = *IpAddress::parse(destination);
  segment.source_port = 0xc001;
  segment.destination_port = 7000;
  segment.sequence = 0x01020304;
  segment.flags = kTcpFin;
  return segment;
}

// The expected checksums were computed by scapy.
TEST(Segment, BytesOfTheHeader_OverIpv4) {
  const TcpHeader expected = {0xc0, 0x01, 0x1b, 0x58, 0x01, 0x02, 0x03, 0x04, 0, 0,
                              0,    0,    0x50, 0x01, 0xfa, 0xf0, 0x51, 0x8f, 0, 0};
  EXPECT_EQ(encode(segment("192.0.2.1", "192.0.2.2")), expected);
}

TEST(Segment, BytesOfTheHeader_OverIpv6) {
  const TcpHeader expected = {0xc0, 0x01, 0x1b, 0x58, 0x01, 0x02, 0x03, 0x04, 0, 0,
                              0,    0,    0x50, 0x01, 0xfa, 0xf0, 0x7a, 0x1e, 0, 0};
  EXPECT_EQ(encode(segment("2001:db8::1", "2001:db8::2")), expected);
}

}  // namespace
}  // namespace knockd::client
