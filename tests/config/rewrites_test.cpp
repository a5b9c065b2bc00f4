// SPDX-License-Identifier: MIT
// tests/data/config/faulty covers the proposed replacements of faulty values. These are the
// proposals that must not be made, because they would change the meaning.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "knockd/config/parser.h"
#include "tests/config/text_files.h"

namespace knockd {
namespace {

// What -t proposes for a line of a door, or of [options].
std::string proposed(const std::string& line, const std::string& section = "[a]\n") {
  TextFiles files;
  const auto config = parse_config(section + line + '\n', "k.conf", files);
  if (config) return "accepted";
  for (const Complaint& complaint : config.error().complaints) {
    if (complaint.place.line == 2) return complaint.write;
  }
  return "no error";
}

TEST(WhatToWrite, IsNotProposed_WhenANumberIsOutOfRange) {
  EXPECT_EQ(proposed("Sequence = 7,8,0"), "");
  EXPECT_EQ(proposed("Sequence = 7421,70000"), "");
  EXPECT_EQ(proposed("Sequence = 7421,-1"), "");
  EXPECT_EQ(proposed("Seq_Timeout = 0"), "");
  EXPECT_EQ(proposed("Open_For = 60d"), "");
  EXPECT_EQ(proposed("Scan_Limit = 65", "[options]\n"), "");
}

TEST(WhatToWrite, LosesNoDigits) {
  EXPECT_EQ(proposed("Seq_Timeout = 2.5"), "");
  EXPECT_EQ(proposed("Seq_Timeout = 1:30"), "");
  EXPECT_EQ(proposed("Seq_Timeout = 1h30m"), "");
  EXPECT_EQ(proposed("Max_Sources = 65,53", "[options]\n"), "");
  EXPECT_EQ(proposed("Max_Sources = 1e6", "[options]\n"), "");
  EXPECT_EQ(proposed("Target = 192.0.2.0/24"), "");
}

TEST(WhatToWrite, IsNotProposed_WhenAWordIsAmbiguous) {
  EXPECT_EQ(proposed("Speed = 5"), "");
  EXPECT_EQ(proposed("UseSyslog = perhaps", "[options]\n"), "");
}

TEST(WhatToWrite, IsNotProposed_ForTheOtherSection) {
  EXPECT_EQ(proposed("Logfil = /var/log/knockd.log"), "");
  EXPECT_EQ(proposed("Sequnce = 7421,3096,5518", "[options]\n"), "");
}

TEST(WhatToWrite, IsNotProposed_WhenTheLineIsLong) {
  EXPECT_EQ(proposed("Sequence = \"7421," + std::string(1000, ' ') + "3096,5518\""), "");
}

TEST(WhatToWrite, IsProposed_InAnyStyle) {
  EXPECT_EQ(proposed("Sequence = tcp/7421 udp/3096 5518"), "Sequence = 7421:tcp,3096:udp,5518");
  EXPECT_EQ(proposed("Sequence = [7421, 3096, 5518]"), "Sequence = 7421, 3096, 5518");
  EXPECT_EQ(proposed("Sequence = 7421..7423"), "Sequence = 7421,7422,7423");
  EXPECT_EQ(proposed("Open = ssh, https"), "Open = 22,443");
  EXPECT_EQ(proposed("Open = openvpn"), "Open = 1194:udp");
  EXPECT_EQ(proposed("TCPFlags = syn -ack"), "TCPFlags = syn,!ack");
  EXPECT_EQ(proposed("Target = [2001:db8::1]"), "Target = 2001:db8::1");
  EXPECT_EQ(proposed("Cooldown = 5 Minutes"), "Cooldown = 5m");
  EXPECT_EQ(proposed("UseSyslog = On", "[options]\n"), "UseSyslog = yes");
}

}  // namespace
}  // namespace knockd
