// SPDX-License-Identifier: MIT
// The text for nft(8). tests/keeper/nft_sets_test.cpp and tests/e2e cover its effect in the kernel.
#include "knockd/knock/shut_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr Knock kSsh{22, Protocol::kTcp};
constexpr Knock kWeb{443, Protocol::kTcp};
constexpr Knock kWireGuard{51820, Protocol::kUdp};

ShutTable table_of(std::vector<ShutPort> ports) {
  ShutTable table;
  table.ports = std::move(ports);
  table.prefixes_v4 = {128};
  table.prefixes_v6 = {128};
  return table;
}

TEST(ShutTable, IsReplacedAsAWhole) {
  ShutTable table = table_of({{kSsh, true}});
  table.interfaces = {"eth0", "wan"};
  EXPECT_EQ(to_nft(table), R"(table inet knockd
delete table inet knockd
table inet knockd {
  set shut { type inet_proto . inet_service; elements = { tcp . 22 }; }
  set kept { type inet_proto . inet_service; elements = { tcp . 22 }; }
  set interfaces { type ifname; elements = { "eth0", "wan" }; }
  set open4_32 { type ipv4_addr . inet_proto . inet_service; size 4096; flags timeout; }
  set open6_128 { type ipv6_addr . inet_proto . inet_service; size 4096; flags timeout; }
  chain shut {
    type filter hook prerouting priority mangle + 1; policy accept;
    iifname != @interfaces return
    meta l4proto . th dport != @shut return
    fib daddr type unicast return
    ip saddr . meta l4proto . th dport @open4_32 return
    ip6 saddr . meta l4proto . th dport @open6_128 return
    meta l4proto tcp meta l4proto . th dport @kept tcp flags & (syn | ack) != syn return
    meta l4proto . th dport @shut drop
  }
}
)");
}

TEST(ShutTable, CoversAllButLoopback_WithoutInterfaces) {
  const std::string text = to_nft(table_of({{kSsh, true}}));
  EXPECT_THAT(text, HasSubstr("    iifname \"lo\" return\n"));
  EXPECT_THAT(text, Not(HasSubstr("interfaces")));
}

TEST(ShutTable, KeepsConnectionsOfThosePortsOnly) {
  const std::string text = to_nft(table_of({{kSsh, false}, {kWeb, true}}));
  EXPECT_THAT(text, HasSubstr("set shut { type inet_proto . inet_service; "
                              "elements = { tcp . 22, tcp . 443 }; }"));
  EXPECT_THAT(text, HasSubstr("set kept { type inet_proto . inet_service; "
                              "elements = { tcp . 443 }; }"));
}

TEST(ShutTable, HasAnEmptySet_WhenNoConnectionIsKept) {
  EXPECT_THAT(to_nft(table_of({{kSsh, false}})),
              HasSubstr("set kept { type inet_proto . inet_service; }\n"));
}

// For tcp the flags decide, regardless of conntrack.
TEST(ShutTable, AsksConntrackOnlyForUdp_OnceAndIfItsConnectionsAreKept) {
  const std::string rule =
      "    meta l4proto udp meta l4proto . th dport @kept ct state established return\n";
  EXPECT_THAT(to_nft(table_of({{kSsh, true}})), Not(HasSubstr("ct state")));
  EXPECT_THAT(to_nft(table_of({{kWireGuard, false}})), Not(HasSubstr("ct state")));
  std::string text =
      to_nft(table_of({{kSsh, true}, {kWireGuard, true}, {{53, Protocol::kUdp}, true}}));
  const size_t found = text.find(rule);
  ASSERT_NE(found, text.npos) << text;
  EXPECT_EQ(text.find("ct state", found + rule.size()), text.npos);
}

TEST(ShutTable, HasASetForEachPrefix) {
  ShutTable table = table_of({{kSsh, true}});
  table.name = "mine";
  table.prefixes_v4 = {96 + 24, 128};
  table.prefixes_v6 = {64};
  table.most_elements = 12;
  const std::string text = to_nft(table);
  EXPECT_THAT(text, HasSubstr("table inet mine {\n"));
  EXPECT_THAT(text, HasSubstr("  set open4_24 { type ipv4_addr . inet_proto . inet_service; "
                              "size 12; flags timeout; }\n"));
  EXPECT_THAT(text, HasSubstr("    ip saddr & 255.255.255.0 . meta l4proto . th dport @open4_24 "
                              "return\n"));
  EXPECT_THAT(text, HasSubstr("    ip saddr . meta l4proto . th dport @open4_32 return\n"));
  EXPECT_THAT(text, HasSubstr("    ip6 saddr & ffff:ffff:ffff:ffff:: . meta l4proto . th dport "
                              "@open6_64 return\n"));
  EXPECT_THAT(text, Not(HasSubstr("open6_128")));
}

TEST(ShutTable, AdmitsNobodyOverIpv6_WithoutPrefixesForIt) {
  ShutTable table = table_of({{kSsh, true}});
  table.prefixes_v6 = {};
  const std::string text = to_nft(table);
  EXPECT_THAT(text, Not(HasSubstr("ip6")));
  EXPECT_THAT(text, HasSubstr("@shut drop"));
}

TEST(ShutTable, NameIsParsedFromItsText) {
  ShutTable table = table_of({{kSsh, true}});
  table.name = "mine";
  EXPECT_EQ(table_name_in(to_nft(table)), "mine");
  for (const char* text :
       {"", "table ip mine", "table inet ", "table inet a b\n", "x\ntable inet a"}) {
    EXPECT_EQ(table_name_in(text), "") << text;
  }
}

TEST(ShutTable, IsRemovedWhetherItIsThereOrNot) {
  EXPECT_EQ(to_nft_removal("knockd"), "table inet knockd\ndelete table inet knockd\n");
}

}  // namespace
}  // namespace knockd
