// SPDX-License-Identifier: MIT
#include "knockd/knock/admission.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

constexpr Knock kSsh{22, Protocol::kTcp};
constexpr Knock kWireGuard{51820, Protocol::kUdp};

std::string network(const char* address, int prefix) {
  return network_text(IpAddress::parse(address).value(), static_cast<uint8_t>(prefix));
}

// --- Names

TEST(SetName, IsFamilyTableAndSet) {
  const SetName allowed{TableFamily::kInet, "filter", "allowed"};
  EXPECT_EQ(parse_set_name("inet filter allowed"), allowed);
  EXPECT_EQ(parse_set_name("  inet   filter  allowed "), allowed);
  EXPECT_EQ(parse_set_name("ip fw4 a.b-c_d/e1"), (SetName{TableFamily::kIp, "fw4", "a.b-c_d/e1"}));
  EXPECT_EQ(parse_set_name("ip6 nat knockd6"), (SetName{TableFamily::kIp6, "nat", "knockd6"}));
  EXPECT_EQ(to_string(allowed), "inet filter allowed");
}

TEST(SetName, IsParsedFromItsText) {
  for (const auto family : {TableFamily::kInet, TableFamily::kIp, TableFamily::kIp6}) {
    const SetName name{family, "t", "s"};
    EXPECT_EQ(parse_set_name(to_string(name)), name);
  }
}

TEST(SetName, OtherTextIsRefused) {
  for (const char* text : {"", " ", "inet", "inet filter", "inet filter a b", "bridge filter a",
                           "arp filter a", "INET filter a", "inet 1filter a", "inet filter 4",
                           "inet filter a;", "inet filter a{", "inet \"filter\" a"}) {
    EXPECT_EQ(parse_set_name(text), std::nullopt) << text;
  }
}

// --- Networks

TEST(NetworkText, IsThePlainAddress_WithAFullPrefix) {
  EXPECT_EQ(network("192.0.2.7", 128), "192.0.2.7");
  EXPECT_EQ(network("2001:db8::7", 128), "2001:db8::7");
}

TEST(NetworkText, HasNoBitsBeyondThePrefix) {
  EXPECT_EQ(network("192.0.2.7", 96 + 24), "192.0.2.0/24");
  EXPECT_EQ(network("192.0.2.255", 96 + 31), "192.0.2.254/31");
  EXPECT_EQ(network("192.0.2.255", 96 + 25), "192.0.2.128/25");
  EXPECT_EQ(network("192.0.2.7", 96 + 1), "128.0.0.0/1");
  EXPECT_EQ(network("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::/64");
  EXPECT_EQ(network("2001:db8:1:2:3:4:5:6", 63), "2001:db8:1:2::/63");
  EXPECT_EQ(network("2001:db8:1:3:3:4:5:6", 63), "2001:db8:1:2::/63");
  EXPECT_EQ(network("2001:db8:1:2:3:4:5:6", 47), "2001:db8::/47");
  EXPECT_EQ(network("2001:db8:1:2:3:4:5:7", 127), "2001:db8:1:2:3:4:5:6/127");
  EXPECT_EQ(network("ffff::1", 1), "8000::/1");
}

TEST(NetworkOf, IsSharedByNeighbours_NotByTheNextNetwork) {
  const auto of = [](const char* address) {
    return network_of(IpAddress::parse(address).value(), 96 + 24);
  };
  EXPECT_EQ(of("192.0.2.7"), of("192.0.2.200"));
  EXPECT_NE(of("192.0.2.7"), of("192.0.3.7"));
  EXPECT_TRUE(of("192.0.2.7").is_v4());
}

// --- What is opened

TEST(AdmittedText, NamesThePorts) {
  EXPECT_EQ(admitted_text({{kSsh}, {}, 128}), "tcp 22");
  EXPECT_EQ(admitted_text({{kSsh, kWireGuard}, {}, 128}), "tcp 22, udp 51820");
  EXPECT_EQ(admitted_text({{kSsh}, SetName{TableFamily::kInet, "fw4", "a"}, 128}), "tcp 22");
}

TEST(AdmittedText, NamesTheSet_WithoutPorts) {
  EXPECT_EQ(admitted_text({{}, SetName{TableFamily::kInet, "fw4", "a"}, 128}), "inet fw4 a");
}

TEST(OwnSetName, HasFamilyAndLength) {
  EXPECT_EQ(own_set_name(true, 128), "open4_32");
  EXPECT_EQ(own_set_name(true, 96 + 24), "open4_24");
  EXPECT_EQ(own_set_name(false, 128), "open6_128");
  EXPECT_EQ(own_set_name(false, 64), "open6_64");
}

}  // namespace
}  // namespace knockd
