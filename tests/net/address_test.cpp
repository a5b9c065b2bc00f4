// SPDX-License-Identifier: MIT
#include "knockd/net/address.h"

#include <gtest/gtest.h>

#include "knockd/net/tcp_flags.h"

namespace knockd {
namespace {

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

TEST(IpAddress, TextIsReadAndWritten) {
  const std::pair<const char*, const char*> cases[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::ffff:192.0.2.1", "192.0.2.1"},
      // RFC 5952, 4.
      {"2001:0db8::0001", "2001:db8::1"},
      {"2001:DB8::A", "2001:db8::a"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"1111:2222:3333:4444:5555:6666:7777:8888", "1111:2222:3333:4444:5555:6666:7777:8888"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"fe80::", "fe80::"},
      {"::1", "::1"},
      {"::", "::"},
  };
  for (const auto& [text, written] : cases) {
    const auto parsed = IpAddress::parse(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->to_string(), written);
    EXPECT_EQ(IpAddress::parse(written), parsed);
  }
}

TEST(IpAddress, OtherTextIsNotAnAddress) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv,
        " "sv,
        "localhost"sv,
        "192.0.2"sv,
        "192.0.2.1.1"sv,
        "192.0.2.256"sv,
        "192.0.2.01"sv,
        "192.0.2.-1"sv,
        "192.0.2.1 "sv,
        " 192.0.2.1"sv,
        "192.0.2.1/24"sv,
        "0xc0.0.2.1"sv,
        "1"sv,
        "192.0.2.1\0"sv,
        "192.0.2.1\0x"sv,
        "\0"sv,
        ":"sv,
        ":::"sv,
        "1::2::3"sv,
        "12345::"sv,
        std::string_view(),
        "fe80::1%eth0"sv,
        "[::1]"sv,
        "2001:db8::/32"sv,
        "1:2:3:4:5:6:7"sv,
        "1:2:3:4:5:6:7:8:9"sv,
        "::1\n"sv,
        "1111:2222:3333:4444:5555:6666:123.123.123.123.123"sv,
        "0000000000000000000000000000000000000000000000000000000000000001"sv}) {
    EXPECT_EQ(IpAddress::parse(text), std::nullopt) << text;
  }
}

TEST(IpAddress, LongestTextFits) {
  const IpAddress longest = address("1111:2222:3333:4444:5555:6666:123.123.123.123");
  EXPECT_EQ(longest.to_string(), "1111:2222:3333:4444:5555:6666:7b7b:7b7b");
}

TEST(IpAddress, ParsesAPartOfAText) {
  EXPECT_EQ(IpAddress::parse(std::string_view("192.0.2.123").substr(0, 9)), address("192.0.2.1"));
}

TEST(IpAddress, Ipv4IsKeptMapped) {
  const uint8_t bytes[4] = {192, 0, 2, 1};
  const IpAddress made = IpAddress::from_v4(bytes);
  EXPECT_EQ(made, address("192.0.2.1"));
  EXPECT_TRUE(made.is_v4());
  EXPECT_EQ(made.v4_number(), 0xc0000201U);
  EXPECT_EQ(made.bytes(), (IpAddress::Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1}));
}

TEST(IpAddress, Ipv6IsKeptAsItsBytes) {
  const IpAddress::Bytes bytes = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  EXPECT_EQ(IpAddress::from_v6(bytes), address("2001:db8::1"));
  EXPECT_EQ(IpAddress(bytes), address("2001:db8::1"));
}

TEST(IpAddress, OnlyMappedAddressesAreIpv4) {
  EXPECT_TRUE(address("0.0.0.0").is_v4());
  for (const char* text : {"::", "::1", "::192.0.2.1", "64:ff9b::192.0.2.1", "1::ffff:192.0.2.1",
                           "::fffe:192.0.2.1", "::ffff:0:192.0.2.1"}) {
    EXPECT_FALSE(address(text).is_v4()) << text;
  }
}

TEST(IpAddress, UnicastIsWhatOneHostCanHave) {
  for (const char* text :
       {"1.0.0.0", "10.0.0.1", "127.0.0.1", "192.0.2.255", "223.255.255.255", "240.0.0.1",
        "255.255.255.254", "::1", "1::", "fe80::1", "2001:db8::1", "feff::1"}) {
    EXPECT_TRUE(address(text).is_unicast()) << text;
  }
  for (const char* text : {"0.0.0.0", "0.255.255.255", "224.0.0.0", "239.1.2.3", "255.255.255.255",
                           "::", "ff00::", "ff02::1", "ffff::"}) {
    EXPECT_FALSE(address(text).is_unicast()) << text;
  }
}

TEST(IpAddress, EqualityIsByValue) {
  EXPECT_EQ(IpAddress(), address("::"));
  EXPECT_NE(address("192.0.2.1"), address("192.0.2.2"));
  EXPECT_LT(address("192.0.2.1"), address("192.0.2.2"));
  EXPECT_LT(address("192.0.2.255"), address("192.0.3.0"));
}

TEST(FlagMask, PassesByWantedAndExcluded) {
  constexpr FlagMask kAny;
  constexpr FlagMask kSynOnly = {.wanted = kTcpSyn, .excluded = kTcpAck};
  EXPECT_TRUE(kAny.passes(0));
  EXPECT_TRUE(kAny.passes(0x3f));
  EXPECT_TRUE(kSynOnly.passes(kTcpSyn));
  EXPECT_TRUE(kSynOnly.passes(kTcpSyn | kTcpPsh));
  EXPECT_FALSE(kSynOnly.passes(kTcpSyn | kTcpAck));
  EXPECT_FALSE(kSynOnly.passes(kTcpAck));
  EXPECT_FALSE(kSynOnly.passes(0));
  EXPECT_FALSE((FlagMask{.wanted = kTcpSyn | kTcpFin}.passes(kTcpSyn)));
}

TEST(ConnectionAttempt, IsSynWithoutAck) {
  EXPECT_TRUE(is_connection_attempt(kTcpSyn));
  EXPECT_TRUE(is_connection_attempt(kTcpSyn | kTcpUrg));
  EXPECT_FALSE(is_connection_attempt(kTcpSyn | kTcpAck));
  EXPECT_FALSE(is_connection_attempt(kTcpAck));
  EXPECT_FALSE(is_connection_attempt(0));
}

}  // namespace
}  // namespace knockd
