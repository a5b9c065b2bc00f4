// SPDX-License-Identifier: MIT
#include "knockd/client/opened_port.h"

#include <gtest/gtest.h>

namespace knockd::client {
namespace {

TEST(OpenedPort, IsFoundInTypicalCommands) {
  const struct {
    const char* command;
    uint16_t port;
  } kCases[] = {
      {"iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", 22},
      {"/sbin/iptables -w -I INPUT 1 -p tcp -s %IP%  --destination-port 2222 -j ACCEPT", 2222},
      {"iptables -C INPUT -p tcp --dport 22 -j ACCEPT || iptables -I INPUT -p tcp --dport 22", 22},
      {"iptables -I INPUT -s %IP% -p tcp -m multiport --dports 80,443 -j ACCEPT", 80},
      {"iptables -I INPUT -s %IP% -p udp --dport 53; iptables -I INPUT -p tcp --dport 853", 853},
      {"nft add rule inet filter input ip saddr %IP% tcp dport 22 accept", 22},
      {"ufw allow from %IP% to any port 22", 22},
      {"firewall-cmd --zone=public --add-port=7777/tcp", 7777},
      {"knockd-firewall open-port ssh %IP% 22", 22},
      {"/usr/sbin/knockd-firewall open-port all %IP% 1194:udp 8443:tcp 80", 8443},
      {"knockd-firewall forward-port inside %IP% 2222 192.168.1.99 22", 2222},
  };
  for (const auto& c : kCases) EXPECT_EQ(opened_port(c.command), c.port) << c.command;
}

TEST(OpenedPort, IsNotFoundInOtherCommands) {
  for (const char* command :
       {"", "/usr/local/bin/wake-server 22", "iptables -w -A knocked -s %IP% -j ACCEPT",
        "iptables -I INPUT -s %IP% -p udp --dport 1194 -j ACCEPT", "iptables -p tcp --dport",
        "nft add rule inet filter input udp dport 53 accept", "iptables -p tcp --dport 0",
        "firewall-cmd --add-port=1194/udp", "knockd-firewall open-port vpn %IP% 1194:udp",
        "knockd-firewall open-port", "iptables -p tcp --dport 99999 -j ACCEPT"}) {
    EXPECT_FALSE(opened_port(command)) << command;
  }
}

}  // namespace
}  // namespace knockd::client
