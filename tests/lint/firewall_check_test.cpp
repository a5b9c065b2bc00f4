// SPDX-License-Identifier: MIT
#include "knockd/lint/firewall_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/lint/check_fixture.h"

namespace knockd {
namespace {

// Commands of knockd-firewall.
class FirewallToolTest : public CheckTest {
 protected:
  FirewallToolTest() { here_.programs.insert("knockd-firewall"); }
  std::string warnings_of_timed_door(const std::string& lines = "") {
    return warnings_of_door_with(
        "start_command = knockd-firewall open-port d %IP% 22\n"
        "stop_command = knockd-firewall close-port d %IP% 22\n" +
        lines);
  }
};

TEST_F(FirewallToolTest, WarnsOfReknockRun) {
  const std::string message =
      "knockd-firewall with Reknock = run: after a second knock the first stop command shuts the "
      "port: expected Reknock = extend\n";
  EXPECT_EQ(warnings_of_timed_door(), "k.conf:4:1: warning: " + message);
  EXPECT_EQ(warnings_of_timed_door("reknock = run\n"), "k.conf:6:1: warning: " + message);
  EXPECT_EQ(warnings_of_timed_door("reknock = extend\n"), "");
  EXPECT_EQ(warnings_of_timed_door("reknock = ignore\n"), "");
  EXPECT_EQ(warnings_of_door_with("command = knockd-firewall open-port d %IP% 22\n"), "");
  EXPECT_EQ(warnings_of_door_with("command = iptables -I INPUT -s %IP% -j ACCEPT\n"
                                  "stop_command = iptables -D INPUT -s %IP% -j ACCEPT\n"),
            "");
}

TEST_F(FirewallToolTest, WarnsOnce_WhenThereIsNoFirewall) {
  here_.programs = {"knockd-firewall"};
  const std::string extends = "reknock = extend\n";
  const std::string expected =
      "k.conf:4:1: warning: Start_Command: knockd-firewall has no firewall to use here: expected "
      "nft, iptables, firewall-cmd or uci\n";
  EXPECT_EQ(warnings_of_timed_door(extends), expected);
  EXPECT_EQ(warnings_of_timed_door(extends + door_with_sequence("9753,2468,1357", "e") +
                                   "command = knockd-firewall open-port e %IP% 80\n"),
            expected);
  for (const char* firewall : {"nft", "iptables", "firewall-cmd", "uci"}) {
    here_.programs = {"knockd-firewall", firewall};
    EXPECT_EQ(warnings_of_timed_door(extends), "") << firewall;
  }
}

// An ACCEPT that is appended after a rule that drops packets.
class AppendedRuleTest : public CheckTest {
 protected:
  static constexpr const char* kTooLate =
      " appends a rule to INPUT behind one that drops what it is to accept: expected -I in place "
      "of -A\n";
  static std::string commands(const std::string& match) {
    return "start_command = iptables " + match + " -j ACCEPT\nstop_command = iptables -F\n";
  }
  std::string warnings_where(const std::string& drop, const std::string& match) {
    here_.chains["iptables INPUT"] = "-P INPUT ACCEPT\n-A INPUT " + drop + '\n';
    return warnings_of_door_with(commands(match));
  }
};

TEST_F(AppendedRuleTest, IsWarnedOf_AfterARuleThatDropsItsPackets) {
  for (const char* drop :
       {"-j DROP", "-j REJECT --reject-with icmp-port-unreachable", "-p tcp -j DROP",
        "-p tcp -m tcp --dport 22 -j DROP", "-i eth0 -p tcp -m tcp --dport 22 -j DROP",
        "-p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP",
        "-m conntrack --ctstate NEW -j DROP", "-m comment --comment \"no one\" -j DROP",
        "-s 0.0.0.0/0 -j DROP"}) {
    EXPECT_EQ(warnings_where(drop, "-A INPUT -s %IP% -p tcp --dport 22"),
              std::string("k.conf:4:1: warning: Start_Command") + kTooLate)
        << drop;
  }
  EXPECT_THAT(warnings_where("-p tcp -m tcp --dport 22 -j DROP", "-A INPUT -s %IP%"),
              testing::HasSubstr(kTooLate));
  EXPECT_THAT(warnings_where("-j DROP", "--append INPUT -s %IP%"), testing::HasSubstr(kTooLate));
}

TEST_F(AppendedRuleTest, IsNotWarnedOf_WhereOtherPacketsAreDropped) {
  for (const char* drop : {"-p tcp -m tcp --dport 25 -j DROP", "-p udp -j DROP",
                           "-m conntrack --ctstate INVALID -j DROP", "-s 192.0.2.0/24 -j DROP",
                           "! -i lo -j DROP", "-m set --match-set banned src -j DROP", "-j LOG",
                           "-p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP", "-j ACCEPT"}) {
    EXPECT_EQ(warnings_where(drop, "-A INPUT -s %IP% -p tcp --dport 22"), "") << drop;
  }
  EXPECT_EQ(warnings_where("-i lan0 -j DROP", "-A INPUT -i wan0 -s %IP%"), "");
}

TEST_F(AppendedRuleTest, IsNotWarnedOf_WhenItIsInserted) {
  EXPECT_EQ(warnings_where("-j DROP", "-I INPUT -s %IP%"), "");
  EXPECT_EQ(warnings_where("-j DROP", "-I INPUT 3 -s %IP%"), "");
}

TEST_F(AppendedRuleTest, IsNotWarnedOf_WhenTheChainIsUnknownOrDropsByPolicy) {
  EXPECT_EQ(warnings_of_door_with(commands("-A INPUT -s %IP%")), "");
  here_.chains["iptables INPUT"] = "-P INPUT DROP\n";
  EXPECT_EQ(warnings_of_door_with(commands("-A INPUT -s %IP%")), "");
}

TEST_F(AppendedRuleTest, IsWarnedOf_WhenTheConfigurationItselfDrops) {
  const std::string door = door_with_sequence("3856,7129,2487") + commands("-A INPUT -s %IP%");
  EXPECT_EQ(warnings("[options]\non_start = iptables -I INPUT -p tcp --dport 22 -j DROP\n" + door),
            std::string("k.conf:6:1: warning: Start_Command") + kTooLate);
  EXPECT_EQ(warnings("[options]\non_start = ip6tables -I INPUT -j DROP\n" + door), "");
  EXPECT_EQ(warnings("[options]\non_start = iptables -t raw -I INPUT -j DROP\n" + door), "");
  EXPECT_EQ(warnings("[options]\non_start = iptables -I FORWARD -j DROP\n" + door), "");
}

TEST_F(AppendedRuleTest, IsWarnedOf_ForIPv6) {
  here_.chains["ip6tables INPUT"] = "-A INPUT -j DROP\n";
  EXPECT_EQ(warnings_of_door_with("command_6 = ip6tables -A INPUT -s %IP% -j ACCEPT\n"
                                  "stop_command = ip6tables -F\n"),
            std::string("k.conf:4:1: warning: Start_Command_6") + kTooLate);
}

class RuleTest : public CheckTest {};

constexpr const char* kStays =
    " adds a firewall rule that nothing takes away: expected a stop command, or a door that "
    "removes the rule\n";

TEST_F(RuleTest, WarnsOfRuleThatStays) {
  EXPECT_EQ(warnings_of_door_with("command = iptables -A INPUT -s %IP% -j ACCEPT\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
  EXPECT_EQ(warnings_of_door_with("command = nft add element inet fw in { %IP% }\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
}

TEST_F(RuleTest, IsSilentAboutRule_WhenACommandRemovesIt) {
  const std::string add = "command = iptables -A INPUT -s %IP% -j ACCEPT";
  EXPECT_EQ(warnings_of_door_with(add + "\nstop_command = iptables -F\n"), "");
  EXPECT_EQ(warnings_of_door_with(add + "; iptables -D INPUT -s %IP% -j ACCEPT\n"), "");
  EXPECT_EQ(warnings_of_door_with(add + '\n' + door_with_sequence("9753,2468,1357", "close") +
                                  "command = iptables -D INPUT -s %IP% -j ACCEPT\n"),
            "");
  EXPECT_EQ(warnings_of_door_with("command = nft add element inet fw in { %IP% timeout 1h }\n"),
            "");
  EXPECT_EQ(warnings_of_door_with("command = iptables -L\n"), "");
}

TEST_F(RuleTest, WarnsOfRuleThatStays_WhenAnotherRuleIsRemoved) {
  EXPECT_EQ(warnings_of_door_with("command = iptables -A INPUT -s %IP% --dport 80 -j ACCEPT\n" +
                                  door_with_sequence("9753,2468,1357", "close") +
                                  "command = iptables -D INPUT -s %IP% --dport 22 -j ACCEPT\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
}

TEST_F(RuleTest, WarnsOfRuleThatStays_ForEachFamily) {
  const std::string both =
      "command = iptables -A INPUT -s %IP% -j ACCEPT\nstop_command = iptables -F\n"
      "command_6 = ip6tables -A INPUT -s %IP% -j ACCEPT\n";
  EXPECT_EQ(warnings_of_door_with(both), "");
  EXPECT_EQ(warnings_of_door_with(both + "stop_command_6 =\n"),
            std::string("k.conf:6:1: warning: Start_Command_6") + kStays);
  EXPECT_EQ(warnings_of_door_with("command = iptables -A INPUT -s %IP% -j ACCEPT\n"
                                  "stop_command = iptables -F\nstop_command_6 =\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
}

}  // namespace
}  // namespace knockd
