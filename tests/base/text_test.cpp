// SPDX-License-Identifier: MIT
#include "knockd/base/text.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace knockd {
namespace {

using namespace std::string_view_literals;
using Parts = std::vector<std::string_view>;

TEST(Text, FormatPrintsIntoAString) {
  EXPECT_EQ(format("%s: %s: Stage %d", "192.0.2.9", "openSSH", 2), "192.0.2.9: openSSH: Stage 2");
  EXPECT_EQ(format("%s", ""), "");
  const std::string command(100'000, 'x');
  EXPECT_EQ(format("<%s>", command.c_str()), "<" + command + ">");
}

TEST(Text, TrimRemovesBlanksAtBothEnds) {
  EXPECT_EQ(trim(" \t\r\n\v\f7000 \t\r\n\v\f"), "7000");
  EXPECT_EQ(trim("7000 , 8000"), "7000 , 8000");
  EXPECT_EQ(trim("x"), "x");
  EXPECT_EQ(trim(" \t\r\n"), "");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim("\0x\0"sv), "\0x\0"sv);
  EXPECT_EQ(trim("\u00a0x"), "\u00a0x");
}

TEST(Text, SplitKeepsPartsUnchanged) {
  EXPECT_EQ(split("7000, 8000 ,9000", ','), (Parts{"7000", " 8000 ", "9000"}));
  EXPECT_EQ(split("7000", ','), Parts{"7000"});
  EXPECT_EQ(split("", ','), Parts{""});
  EXPECT_EQ(split(",", ','), (Parts{"", ""}));
  EXPECT_EQ(split(",7000,,", ','), (Parts{"", "7000", "", ""}));
}

TEST(Text, WordsAreSeparatedByBlanks) {
  EXPECT_EQ(split_words("  inet  fw4 knockd4 "), (Parts{"inet", "fw4", "knockd4"}));
  EXPECT_EQ(split_words(" "), Parts{});
}

TEST(Text, PartsPointIntoTheOriginalText) {
  const std::string_view text = "7000,8000";
  EXPECT_EQ(split(text, ',')[1].data(), text.data() + 5);
}

TEST(IsOneOf, ComparesWholeWords) {
  EXPECT_TRUE(is_one_of("-A", "-A --append -I"));
  EXPECT_TRUE(is_one_of("-I", "-A --append -I"));
  EXPECT_FALSE(is_one_of("--app", "-A --append -I"));
  EXPECT_FALSE(is_one_of("-A --append", "-A --append -I"));
  EXPECT_FALSE(is_one_of("", "-A --append -I"));
}

TEST(Text, OneIsSingular) {
  EXPECT_EQ(counted(0, "door"), "0 doors");
  EXPECT_EQ(counted(1, "door"), "1 door");
  EXPECT_EQ(counted(2, "log line"), "2 log lines");
  EXPECT_EQ(counted(std::numeric_limits<uint64_t>::max(), "port"), "18446744073709551615 ports");
}

TEST(Text, CaseOfAsciiLettersIsIgnored) {
  EXPECT_TRUE(equals_ignoring_case("Seq_Timeout", "sEQ_tIMEOUT"));
  EXPECT_TRUE(equals_ignoring_case("", ""));
  EXPECT_TRUE(equals_ignoring_case("AZaz", "azAZ"));
  EXPECT_FALSE(equals_ignoring_case("tcp", "tc"));
  EXPECT_FALSE(equals_ignoring_case("tcp", "udp"));
  EXPECT_FALSE(equals_ignoring_case("@[", "`{"));  // the neighbours of A and Z
  EXPECT_FALSE(equals_ignoring_case("\xc4", "\xe4"));
}

TEST(Text, NumbersUpToTheMaximumAreAccepted) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  const struct {
    std::string_view text;
    uint64_t most;
    uint64_t number;
  } cases[] = {
      {"0", 65535, 0},
      {"1", 65535, 1},
      {"65535", 65535, 65535},
      {"007", 65535, 7},
      {"00000000000000000000000000000065535", 65535, 65535},
      {"0", 0, 0},
      {"5", 5, 5},
      {"19", 19, 19},
      {"18446744073709551615", kMost, kMost},
  };
  for (const auto& [text, most, number] : cases) {
    EXPECT_EQ(parse_number(text, most), number) << text << " of " << most;
  }
}

TEST(Text, NumbersBeyondTheMaximumAreRefused) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  const std::pair<std::string_view, uint64_t> cases[] = {
      {"65536", 65535},
      {"70000", 65535},
      {"99999", 65535},
      {"4294967297", 65535},
      {"1", 0},
      {"9", 5},
      {"6", 5},
      {"20", 19},
      {"100", 19},
      {"18446744073709551616", kMost},
      {"18446744073709551617", 1},
      {"99999999999999999999", kMost},
  };
  for (const auto& [text, most] : cases) {
    EXPECT_EQ(parse_number(text, most), std::nullopt) << text << " of " << most;
  }
}

TEST(Text, OtherTextIsNotANumber) {
  for (const std::string_view text :
       {""sv, " "sv, "abc"sv, "+1"sv, "-1"sv, " 1"sv, "1 "sv, "1.0"sv, "0x10"sv, "1e3"sv, "1,2"sv,
        "1\0"sv, "/"sv, ":"sv, "\xb2"sv}) {
    EXPECT_EQ(parse_number(text, 65535), std::nullopt) << text;
  }
}

TEST(Text, PrintableEscapesControlCharacters) {
  EXPECT_EQ(printable("openSSH 7000~"), "openSSH 7000~");
  EXPECT_EQ(printable("a\nb\r\t\x1b[31m\x7f"), "a\\x0ab\\x0d\\x09\\x1b[31m\\x7f");
  EXPECT_EQ(printable("\\x41"), "\\x5cx41");
  EXPECT_EQ(printable("\xc3\xa4\xff"), "\\xc3\\xa4\\xff");
  EXPECT_EQ(printable("\0"sv), "\\x00");
  EXPECT_EQ(printable(""), "");
}

TEST(Join, PutsTheSeparatorBetweenParts) {
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join({"eth0"}, ", "), "eth0");
  EXPECT_EQ(join({"eth0", "", "ppp0"}, ", "), "eth0, , ppp0");
}

}  // namespace
}  // namespace knockd
