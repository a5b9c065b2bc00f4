// SPDX-License-Identifier: MIT
#include "knockd/knock/sequence.h"

#include <gtest/gtest.h>

#include <ostream>

namespace knockd {

static void PrintTo(const Knock& knock, std::ostream* out) { *out << to_string(Sequence{knock}); }

namespace {

using testing::PrintToString;

constexpr Protocol kTcp = Protocol::kTcp;
constexpr Protocol kUdp = Protocol::kUdp;

std::string knocks(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    if (i > 0) text += ',';
    text += std::to_string(7000 + i);
  }
  return text;
}

TEST(Sequence, ValidTextsAreParsed) {
  const struct {
    std::string_view text;
    Sequence sequence;
  } cases[] = {
      {"7000,8000,9000", {{7000, kTcp}, {8000, kTcp}, {9000, kTcp}}},
      {"2222:udp,3333:tcp,4444:udp", {{2222, kUdp}, {3333, kTcp}, {4444, kUdp}}},
      {"7000", {{7000, kTcp}}},
      {"1,65535", {{1, kTcp}, {65535, kTcp}}},
      {"7000:UDP,8000:Tcp", {{7000, kUdp}, {8000, kTcp}}},
      {" 7000 , 8000\t: udp ,9000 : tcp\r\n", {{7000, kTcp}, {8000, kUdp}, {9000, kTcp}}},
      {"7000,7000,7000", {{7000, kTcp}, {7000, kTcp}, {7000, kTcp}}},
      {"007000", {{7000, kTcp}}},
  };
  for (const auto& [text, sequence] : cases) {
    const auto result = parse_sequence(text);
    ASSERT_TRUE(std::holds_alternative<Sequence>(result))
        << text << ": " << std::get<TextFault>(result).message;
    EXPECT_EQ(std::get<Sequence>(result), sequence) << text;
  }
}

TEST(Sequence, FaultsHaveAPositionAndAMessage) {
  const std::string port = "expected a number from 1 to 65535";
  const std::string protocol = "expected tcp or udp";
  const std::string empty = "empty sequence: expected a list of ports like 7000,8000:udp,9000";
  const struct {
    std::string text;
    size_t offset;
    std::string message;
  } cases[] = {
      {"", 0, empty},
      {" \t", 0, empty},
      {"abc", 0, "port \"abc\": " + port},
      {"0", 0, "port \"0\": " + port},
      {"7000,65536", 5, "port \"65536\": " + port},
      {"7000, 99999999999999999999 ,8000", 6, "port \"99999999999999999999\": " + port},
      {"7000,-1", 5, "port \"-1\": " + port},
      {"7000,+1", 5, "port \"+1\": " + port},
      {"7000 8000", 0, "port \"7000 8000\": " + port},
      {"7000;8000", 0, "port \"7000;8000\": " + port},
      {"7000-7002", 0, "port \"7000-7002\": " + port},
      {"7000,,8000", 5, "port \"\": " + port},
      {"7000,", 5, "port \"\": " + port},
      {",7000", 0, "port \"\": " + port},
      {"7000,:udp", 5, "port \"\": " + port},
      {"7000,  ", 5, "port \"\": " + port},
      {"udp:7000", 0, "port \"udp\": " + port},
      {"7000,\x1b[2J", 5, "port \"\\x1b[2J\": " + port},
      {"7000,8000:icmp", 10, "protocol \"icmp\": " + protocol},
      {"7000,8000: sctp ,9000", 11, "protocol \"sctp\": " + protocol},
      {"7000:", 4, "protocol \"\": " + protocol},
      {"7000:tcp:udp", 5, "protocol \"tcp:udp\": " + protocol},
      {"7000:udp 8000", 5, "protocol \"udp 8000\": " + protocol},
      {"7000:tcpx", 5, "protocol \"tcpx\": " + protocol},
      {knocks(33), 160, "too many knocks: expected at most 32"},
      {"abc,0", 0, "port \"abc\": " + port},
  };
  for (const auto& [text, offset, message] : cases) {
    const auto result = parse_sequence(text);
    ASSERT_TRUE(std::holds_alternative<TextFault>(result))
        << text << " is read as " << PrintToString(std::get<Sequence>(result));
    EXPECT_EQ(std::get<TextFault>(result).offset, offset) << text;
    EXPECT_EQ(std::get<TextFault>(result).message, message) << text;
  }
}

TEST(Sequence, HoldsUpTo32Knocks) {
  const auto result = parse_sequence(knocks(32));
  ASSERT_TRUE(std::holds_alternative<Sequence>(result));
  EXPECT_EQ(std::get<Sequence>(result).size(), 32U);
}

TEST(Sequence, DefaultProtocolIsTheCallers) {
  const Sequence expected = {{7000, kUdp}, {8000, kTcp}, {9000, kUdp}};
  EXPECT_EQ(std::get<Sequence>(parse_sequence("7000,8000:tcp,9000", kUdp)), expected);
}

TEST(Sequence, TextRoundTrips) {
  const Sequence sequence = {{7000, kTcp}, {8000, kUdp}, {9000, kTcp}};
  EXPECT_EQ(to_string(sequence), "7000,8000:udp,9000");
  EXPECT_EQ(std::get<Sequence>(parse_sequence(to_string(sequence))), sequence);
  EXPECT_EQ(to_string(Sequence{}), "");
}

TEST(Knock, IsParsedAlone) {
  EXPECT_EQ(std::get<Knock>(parse_knock("7000")), (Knock{7000, kTcp}));
  EXPECT_EQ(std::get<Knock>(parse_knock(" 7000:udp ")), (Knock{7000, kUdp}));
  EXPECT_EQ(std::get<Knock>(parse_knock("7000", kUdp)), (Knock{7000, kUdp}));
  for (const char* text : {"", " ", ":", ":udp", "7000,8000", "70000"}) {
    EXPECT_TRUE(std::holds_alternative<TextFault>(parse_knock(text))) << text;
  }
}

}  // namespace
}  // namespace knockd
