// SPDX-License-Identifier: MIT
// Rulesets as nft lists them: the chains that drop a port, and the types of their sets.
#include "knockd/lint/ruleset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace knockd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Knock kSsh{22, Protocol::kTcp};

std::vector<std::string> chains(std::string_view listed, const Knock& port = kSsh) {
  return Ruleset(listed).chains_that_drop(port);
}

// A chain at the hook input with this policy and these rules, each with its two tabs.
std::string input(const std::string& policy, const std::string& rules) {
  return "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; "
         "policy " +
         policy + ";\n" + rules + "\t}\n}\n";
}

TEST(Ruleset, DropsByPolicy) {
  EXPECT_THAT(chains(input("drop", "\t\tct state established accept\n")),
              ElementsAre("inet filter input"));
  EXPECT_THAT(chains(input("accept", "\t\tct state invalid drop\n")), IsEmpty());
}

TEST(Ruleset, DropsByRuleForEverybody) {
  for (const char* const rule :
       {"drop", "counter packets 0 bytes 0 reject with icmpx admin-prohibited",
        "iifname \"eth0\" drop", "iifname { \"eth0\", \"eth1\" } counter packets 1 bytes 40 drop",
        "meta nfproto ipv4 drop comment \"a tcp dport 22 accept\""}) {
    EXPECT_THAT(chains(input("accept", "\t\t" + std::string(rule) + '\n')),
                ElementsAre("inet filter input"))
        << rule;
  }
  for (const char* const rule : {"tcp dport 23 drop", "ip saddr 192.0.2.0/24 drop", "accept"}) {
    EXPECT_THAT(chains(input("accept", "\t\t" + std::string(rule) + '\n')), IsEmpty()) << rule;
  }
}

// The structure of fw4 and firewalld.
TEST(Ruleset, DropsByJumps) {
  const std::string zone = "\tchain input_wan {\n\t\tjump handle_reject\n\t}\n";
  const std::string reject =
      "\tchain handle_reject {\n\t\tmeta l4proto tcp reject with tcp reset\n\t\treject\n\t}\n";
  const auto ruleset = [](const std::string& rule, const std::string& more) {
    std::string text = input("accept", "\t\t" + rule + '\n');
    return text.insert(text.rfind("}\n"), more);
  };
  EXPECT_THAT(chains(ruleset("iifname \"wan\" jump input_wan", zone + reject)),
              ElementsAre("inet filter input"));
  EXPECT_THAT(chains(ruleset("tcp dport 80 jump input_wan", zone + reject)), IsEmpty());
  EXPECT_THAT(chains(ruleset("jump input", "")), IsEmpty()) << "a loop ends";
}

TEST(Ruleset, APortThatTheTableAcceptsIsNotReportedAsDropped) {
  for (const char* const rule :
       {"tcp dport 22 counter packets 0 bytes 0 accept", "tcp dport { 22, 80 } accept",
        "tcp dport 20-30 accept", "iifname \"eth0\" meta l4proto tcp th dport 22 accept"}) {
    EXPECT_THAT(chains(input("drop", "\t\t" + std::string(rule) + '\n')), IsEmpty()) << rule;
  }
  for (const char* const rule :
       {"udp dport 22 accept", "tcp dport 23 accept", "tcp sport 22 accept",
        "tcp dport { 80, 443 } accept", "tcp dport 22 drop"}) {
    EXPECT_THAT(chains(input("drop", "\t\t" + std::string(rule) + '\n')),
                ElementsAre("inet filter input"))
        << rule;
  }
}

TEST(Ruleset, AForwardedPortIsDroppedByChainsThatForward) {
  const auto ruleset = [](const char* to, const char* accepts) {
    return std::string(
               "table ip nat {\n\tchain DOCKER {\n\t\tiifname != \"docker0\" tcp dport 8080 "
               "counter packets 0 bytes 0 dnat to ") +
           to +
           "\n\t}\n}\ntable ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward "
           "priority filter; policy drop;\n\t\t" +
           accepts + "\n\t}\n}\n" + input("drop", "");
  };
  const Knock published{8080, Protocol::kTcp};
  EXPECT_THAT(chains(ruleset("172.17.0.2:80", "tcp dport 80 accept"), published), IsEmpty());
  EXPECT_THAT(chains(ruleset("[2001:db8::2]:80", "tcp dport 80 accept"), published), IsEmpty());
  EXPECT_THAT(chains(ruleset("2001:db8::80", "tcp dport 8080 accept"), published), IsEmpty());
  EXPECT_THAT(chains(ruleset("172.17.0.2:80", "tcp dport 8080 accept"), published),
              ElementsAre("ip filter FORWARD"));
}

TEST(Ruleset, KnowsTheElementTypesOfSets) {
  const Ruleset ruleset(
      "table inet fw4 {\n"
      "\tset knockd4 {\n\t\ttype ipv4_addr . inet_proto . inet_service\n\t\tflags timeout\n\t}\n\n"
      "\tset networks {\n\t\ttype ipv6_addr\n\t\tsize 10\n\t\tflags interval,timeout\n\t}\n\n"
      "\tset other {\n\t\ttypeof ip saddr\n\t}\n}\n");
  const auto find = [&](const char* name) { return ruleset.find(*parse_set_name(name)); };
  ASSERT_TRUE(find("inet fw4 knockd4"));
  EXPECT_EQ(find("inet fw4 knockd4")->type, "ipv4_addr . inet_proto . inet_service");
  EXPECT_TRUE(find("inet fw4 knockd4")->has_timeout);
  EXPECT_TRUE(find("inet fw4 knockd4")->is_plain);
  ASSERT_TRUE(find("inet fw4 networks"));
  EXPECT_FALSE(find("inet fw4 networks")->is_plain);
  ASSERT_TRUE(find("inet fw4 other"));
  EXPECT_EQ(find("inet fw4 other")->type, "");
  EXPECT_FALSE(find("inet fw4 other")->has_timeout);
  EXPECT_FALSE(find("ip fw4 knockd4"));
  EXPECT_FALSE(find("inet fw4 knockd"));
}

}  // namespace
}  // namespace knockd
