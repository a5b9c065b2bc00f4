// SPDX-License-Identifier: MIT
#include "knockd/config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

namespace knockd {
namespace {

using testing::ElementsAre;

TEST(WithoutComment, CutsAtHashBehindBlank) {
  EXPECT_EQ(without_comment(" 5 # seconds"), "5");
  EXPECT_EQ(without_comment("5\t#"), "5");
  EXPECT_EQ(without_comment(" # all of it"), "");
  EXPECT_EQ(without_comment("a#b  "), "a#b");
  EXPECT_EQ(without_comment("#5"), "#5");
  EXPECT_EQ(without_comment(""), "");
}

TEST(Quoted, IsOneLineAndShort) {
  EXPECT_EQ(in_quotes("a\nb"), "\"a\\x0ab\"");
  EXPECT_EQ(in_quotes(std::string(81, 'x')), '"' + std::string(80, 'x') + "...\"");
  EXPECT_EQ(in_quotes(std::string(80, 'x')), '"' + std::string(80, 'x') + '"');
}

TEST(FindControlByte, FindsBothRanges) {
  EXPECT_EQ(find_control_byte("ab\x1f"), 2u);
  EXPECT_EQ(find_control_byte("a\x7f"), 1u);
  EXPECT_EQ(find_control_byte("a b~\xc3\xbc"), std::string_view::npos);
}

TEST(ParseTime, AcceptsAWholeNumber_WithAndWithoutUnit) {
  constexpr std::chrono::hours kMost(1000);
  EXPECT_EQ(parse_time("90", kMost), std::chrono::seconds(90));
  EXPECT_EQ(parse_time("90s", kMost), std::chrono::seconds(90));
  EXPECT_EQ(parse_time("10m", kMost), std::chrono::minutes(10));
  EXPECT_EQ(parse_time("1h", kMost), std::chrono::hours(1));
  EXPECT_EQ(parse_time("2d", kMost), std::chrono::hours(48));
  EXPECT_EQ(parse_time("0m", kMost), std::chrono::seconds(0));
  for (const char* text : {"", "s", "1w", "1 h", "-1m", "1.5h", "1h30m", "0x1s", "1hh"}) {
    EXPECT_EQ(parse_time(text, kMost), std::nullopt) << text;
  }
}

TEST(ParseTime, RefusesMoreThanTheMaximum_InAnyUnit) {
  constexpr std::chrono::seconds kMost(7200);
  EXPECT_EQ(parse_time("7200", kMost), kMost);
  EXPECT_EQ(parse_time("2h", kMost), kMost);
  for (const char* text : {"7201", "121m", "3h", "1d", "99999999999999999999d"}) {
    EXPECT_EQ(parse_time(text, kMost), std::nullopt) << text;
  }
}

TEST(ParseTcpFlags, ReadsEachFlag_SetAndExcluded) {
  const auto all = std::get<FlagMask>(parse_tcp_flags("fin,syn,RST , !psh,! ack,!URG"));
  EXPECT_EQ(all.wanted, kTcpFin | kTcpSyn | kTcpRst);
  EXPECT_EQ(all.excluded, kTcpPsh | kTcpAck | kTcpUrg);
}

// The scan guard counts what a door with syn asks for.
TEST(ParseTcpFlags, ReadsSynAsAConnectionAttempt_UnlessAckIsNamed) {
  const auto mask = [](std::string_view text) { return std::get<FlagMask>(parse_tcp_flags(text)); };
  EXPECT_EQ(mask("syn"), (FlagMask{kTcpSyn, kTcpAck}));
  EXPECT_EQ(mask("SYN,!rst"), (FlagMask{kTcpSyn, kTcpRst | kTcpAck}));
  EXPECT_EQ(mask("syn,!ack"), (FlagMask{kTcpSyn, kTcpAck}));
  EXPECT_EQ(mask("syn,ack"), (FlagMask{kTcpSyn | kTcpAck, 0}));
  EXPECT_EQ(mask("ack,syn"), (FlagMask{kTcpSyn | kTcpAck, 0}));
  EXPECT_EQ(mask("!syn"), (FlagMask{0, kTcpSyn}));
  EXPECT_EQ(mask("fin"), (FlagMask{kTcpFin, 0}));
  for (int flags = 0; flags < 256; ++flags) {
    const auto bits = static_cast<uint8_t>(flags);
    EXPECT_EQ(mask("syn").passes(bits), is_connection_attempt(bits)) << flags;
  }
}

TEST(ParseTcpFlags, RefusesContradiction_InEitherOrder) {
  EXPECT_EQ(std::get<TextFault>(parse_tcp_flags("syn,!syn")).offset, 4u);
  EXPECT_EQ(std::get<TextFault>(parse_tcp_flags("!ack, ack")).offset, 6u);
}

TEST(ParseInterfaceList, DropsRepeats_AndReportsThem) {
  const auto list = std::get<InterfaceList>(parse_interface_list("eth0, ppp0,eth0"));
  EXPECT_THAT(list.names, ElementsAre("eth0", "ppp0"));
  ASSERT_EQ(list.remarks.size(), 1u);
  EXPECT_EQ(list.remarks[0].offset, 11u);
}

TEST(ParseInterfaceList, KeepsAnyAlone) {
  EXPECT_THAT(std::get<InterfaceList>(parse_interface_list("eth0,any,ppp0")).names,
              ElementsAre("any"));
  const auto alone = std::get<InterfaceList>(parse_interface_list("any"));
  EXPECT_THAT(alone.names, ElementsAre("any"));
  EXPECT_TRUE(alone.remarks.empty());
}

TEST(ParseInterfaceList, AcceptsNamesThatTheKernelAccepts) {
  for (const char* name : {"a", "eth0.2", "pppoe-wan", "abcdefghijklmno", "wg#1"}) {
    EXPECT_TRUE(std::holds_alternative<InterfaceList>(parse_interface_list(name))) << name;
  }
  for (const char* name :
       {"", ".", "..", "a/b", "a b", "abcdefghijklmnop", "a\x1b", "eth0,,eth1"}) {
    EXPECT_TRUE(std::holds_alternative<TextFault>(parse_interface_list(name))) << name;
  }
}

}  // namespace
}  // namespace knockd
