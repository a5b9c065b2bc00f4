// SPDX-License-Identifier: MIT
#include "knockd/client/words.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace knockd::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Duration, UnitComesFromTheSuffix_OrADecimalPoint) {
  const auto in_ms = [](std::string_view text) { return parse_duration(text, milliseconds(1)); };
  EXPECT_EQ(in_ms("300"), milliseconds(300));
  EXPECT_EQ(in_ms("300ms"), milliseconds(300));
  EXPECT_EQ(in_ms("0.3"), milliseconds(300));
  EXPECT_EQ(in_ms(".3"), milliseconds(300));
  EXPECT_EQ(in_ms("0.3s"), milliseconds(300));
  EXPECT_EQ(in_ms("1.5ms"), std::chrono::microseconds(1500));
  EXPECT_EQ(in_ms("2s"), seconds(2));
  EXPECT_EQ(in_ms("0"), Duration::zero());
  EXPECT_EQ(in_ms("86400s"), seconds(86400));
  EXPECT_EQ(parse_duration("2", seconds(1)), seconds(2));
}

TEST(Duration, OtherTextIsRefused) {
  for (const char* text : {"", "s", "ms", ".", "1.", ".s", "-1", "+1", " 1", "1 ms", "1m", "1e3",
                           "1,5", "0.1234567890", "86400.1s", "99999999999999999999"}) {
    EXPECT_FALSE(parse_duration(text, milliseconds(1))) << text;
  }
}

std::string knocks(const std::vector<std::string>& lists, Protocol unsaid = Protocol::kTcp) {
  const auto result = parse_knock_lists(lists, unsaid);
  if (const auto* fault = std::get_if<TextFault>(&result)) return fault->message;
  return to_string(std::get<CodedSequence>(result));
}

TEST(KnockLists, AreConcatenated) {
  EXPECT_EQ(knocks({"7000,8000:udp", "9000"}), "7000,8000:udp,9000");
  EXPECT_EQ(knocks({"7000", " 8000:tcp "}, Protocol::kUdp), "7000:udp,8000");
}

TEST(KnockLists, AcceptServiceNames) {
  EXPECT_EQ(knocks({"ssh,domain:udp", "8000"}), "22,53:udp,8000");
}

TEST(KnockLists, AcceptChangingPorts_InAnyOfThem) {
  EXPECT_EQ(knocks({"ssh,7001", "totp", "totp"}), "22,7001,totp,totp");
}

TEST(KnockLists, BadKnocksAreNamed) {
  EXPECT_NE(knocks({"7000", "noservice"}).find("noservice"), std::string::npos);
  EXPECT_NE(knocks({"7000", " "}).find("empty sequence"), std::string::npos);
}

}  // namespace
}  // namespace knockd::client
