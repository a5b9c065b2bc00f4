// SPDX-License-Identifier: MIT
#include "knockd/fleet/message.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

using std::chrono::milliseconds;

TEST(Message, RoundTrips) {
  const OpenMessage open{milliseconds(1766000000250), 1766000000123, "anna"};
  EXPECT_EQ(to_json(open), R"({"until":1766000000.250,"id":1766000000123,"user":"anna"})");
  EXPECT_EQ(parse_open_message(to_json(open)), open);
  const OpenMessage nobody{milliseconds(1766000000001), 1, ""};
  EXPECT_EQ(parse_open_message(to_json(nobody)), nobody);

  const CloseMessage close{{{"gw1", 5}, {"gw2", 1766000000123}}, milliseconds(1766000000250)};
  EXPECT_EQ(to_json(close), R"({"ids":[["gw1",5],["gw2",1766000000123]],"until":1766000000.250})");
  EXPECT_EQ(parse_close_message(to_json(close)), close);

  const CodeMessage code{58866666, *IpAddress::parse("2001:db8::7")};
  EXPECT_EQ(to_json(code), R"({"step":58866666,"address":"2001:db8::7"})");
  EXPECT_EQ(parse_code_message(to_json(code)), code);
}

TEST(Message, UnknownMembersAreIgnored) {
  EXPECT_TRUE(parse_open_message(R"( {"more":[1,{}],"id":1,"until":2.5,"UNTIL":"x"} )"));
}

TEST(Message, OtherTextIsNotAnOpening) {
  for (const char* const text :
       {"",
        "x",
        "{}",
        "[]",
        "null",
        R"({"until":1766000000,"id":1}x)",
        R"({"id":1})",
        R"({"until":1766000000})",
        R"({"until":"1766000000","id":1})",
        R"({"until":1e999,"id":1})",
        R"({"until":-1,"id":1})",
        R"({"until":0,"id":1})",
        R"({"until":1e11,"id":1})",
        R"({"until":1766000000,"id":-1})",
        R"({"until":1766000000,"id":1.5})",
        R"({"until":1766000000,"id":1e30})",
        R"({"until":1766000000,"id":"1"})",
        R"({"until":1766000000,"id":1,"user":""})",
        R"({"until":1766000000,"id":1,"user":"a b"})",
        R"({"until":1766000000,"id":1,"user":7})",
        R"({"until":1766000000,"id":1,"user":"123456789012345678901234567890123"})",
        R"({"until":1766000000,"id":1,"more":[[[[]]]]})"}) {
    EXPECT_FALSE(parse_open_message(text)) << text;
  }
  EXPECT_FALSE(parse_open_message(std::string(kLongestMessage, ' ') + R"({"until":1,"id":1})"));
  EXPECT_FALSE(parse_open_message(std::string(100'000, '[')));
}

TEST(Message, OtherTextIsNotAClosing) {
  for (const char* const text :
       {R"({"until":1766000000})", R"({"ids":{},"until":1766000000})",
        R"({"ids":[[]],"until":1766000000})", R"({"ids":[["gw1"]],"until":1766000000})",
        R"({"ids":[["gw1",1,2]],"until":1766000000})", R"({"ids":[["g w",1]],"until":1766000000})",
        R"({"ids":[[1,1]],"until":1766000000})", R"({"ids":["gw1",1],"until":1766000000})"}) {
    EXPECT_FALSE(parse_close_message(text)) << text;
  }
  CloseMessage many{{}, milliseconds(1766000000000)};
  for (size_t i = 0; i < kMostClosedIds; ++i) many.ids.emplace_back("gw", i);
  EXPECT_TRUE(parse_close_message(to_json(many)));
  many.ids.emplace_back("gw", 0);
  EXPECT_FALSE(parse_close_message(to_json(many)));
}

TEST(Message, OtherTextIsNotACode) {
  for (const char* const text :
       {R"({"step":1})", R"({"step":-1,"address":"192.0.2.7"})", R"({"address":"192.0.2.7"})",
        R"({"step":1,"address":"192.0.2"})", R"({"step":1e15,"address":"192.0.2.7"})"}) {
    EXPECT_FALSE(parse_code_message(text)) << text;
  }
}

}  // namespace
}  // namespace knockd
