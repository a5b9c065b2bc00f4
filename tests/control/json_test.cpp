// SPDX-License-Identifier: MIT
#include "knockd/control/json.h"

#include <gtest/gtest.h>

namespace knockd {
namespace {

using namespace std::chrono_literals;

TEST(JsonWriter, SeparatesMembersAndItems) {
  JsonWriter json;
  json.begin_object().key("a").number(1).key("b").begin_array().text("x").null().yes_no(true);
  json.begin_object().end_object().end_array().key("c").begin_array().end_array();
  json.key("d").yes_no(false).end_object();
  EXPECT_EQ(json.take(), R"({"a":1,"b":["x",null,true,{}],"c":[],"d":false})");
}

TEST(JsonWriter, EscapesWhatAStringCannotHold) {
  JsonWriter json;
  json.text(std::string_view("\"\\\n\t\0\x1f\x7f/<img>", 13));
  EXPECT_EQ(json.take(), "\"\\\"\\\\\\n\\u0009\\u0000\\u001f\\u007f/<img>\"");
}

TEST(JsonWriter, KeepsUtf8_AndReplacesOtherBytes) {
  JsonWriter json;
  json.text("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xaa \xc3 \xed\xa0\x80 \xf5");
  EXPECT_EQ(json.take(),
            "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xaa \xef\xbf\xbd "
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\"");
}

TEST(JsonWriter, SecondsHaveThreeDecimals_AndAreNeverNegative) {
  JsonWriter json;
  json.begin_array().seconds(1234567ms).seconds(5ms).seconds(-1s).seconds(999999ns).end_array();
  EXPECT_EQ(json.take(), "[1234.567,0.005,0.000,0.000]");
}

TEST(JsonWriter, LargestNumberIsWhole) {
  JsonWriter json;
  json.number(~uint64_t{0});
  EXPECT_EQ(json.take(), "18446744073709551615");
}

TEST(AnswerTest, RoundTrips) {
  std::string all;
  for (int c = 0; c < 0x80; ++c) all += static_cast<char>(c);
  for (const std::string& text : {std::string(), std::string("one\ntwo"), all + "\xc3\xa4"}) {
    const auto answer = parse_answer(to_json(Answer{3, text}));
    ASSERT_TRUE(answer) << to_json(Answer{3, text});
    EXPECT_EQ(answer->status, 3);
    EXPECT_EQ(answer->text, text);
  }
}

TEST(AnswerTest, OtherTextIsRefused) {
  for (const char* const json :
       {"", "{", R"({"status":)", R"({"status":1})", R"({"status":x,"text":"a"})",
        R"({"status":1,"text":"a)", R"({"status":1,"text":"a"} )", R"({"status":1,"text":"\)",
        R"({"status":1,"text":"\x"})", R"({"status":1,"text":"\u12"})",
        R"({"status":1,"text":"\u0100"})", R"({"status":1,"text":"\u00G0"})",
        R"({"status":12,"text":"a"})", R"({"text":"a","status":1})"}) {
    EXPECT_FALSE(parse_answer(json)) << json;
  }
}

}  // namespace
}  // namespace knockd
