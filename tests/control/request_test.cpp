// SPDX-License-Identifier: MIT
#include "knockd/control/request.h"

#include <gtest/gtest.h>

namespace knockd {
namespace {

using namespace std::chrono_literals;

template <typename Ask>
Ask ask(std::string_view line) {
  const auto request = parse_request(line);
  if (!request) {
    ADD_FAILURE() << line << ": " << request.error().text;
    return {};
  }
  const Ask* const found = std::get_if<Ask>(&*request);
  if (found == nullptr) ADD_FAILURE() << line << " is another request";
  return found == nullptr ? Ask() : *found;
}

std::string refusal(std::string_view line) {
  const auto request = parse_request(line);
  return request ? "" : request.error().text;
}

IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

TEST(RequestTest, Status) {
  EXPECT_EQ(ask<AskStatus>("status").form, AskStatus::Form::kJson);
  EXPECT_EQ(ask<AskStatus>("status\tjson").form, AskStatus::Form::kJson);
  EXPECT_EQ(ask<AskStatus>("status\ttable").form, AskStatus::Form::kTable);
  EXPECT_EQ(ask<AskStatus>("status\tprometheus").form, AskStatus::Form::kPrometheus);
  EXPECT_EQ(refusal("status\txml"),
            "status: expected json, table, prometheus or nothing, not \"xml\"");
  EXPECT_NE(refusal("status\tjson\tjson"), "");
}

TEST(RequestTest, CloseNamesAnAddressADoorBothOrAll) {
  EXPECT_FALSE(ask<AskClose>("close\tall").selection.door);
  EXPECT_FALSE(ask<AskClose>("close\tall").selection.address);
  EXPECT_EQ(ask<AskClose>("close\t192.0.2.7").selection.address, address("192.0.2.7"));
  EXPECT_FALSE(ask<AskClose>("close\t192.0.2.7").selection.door);
  EXPECT_EQ(ask<AskClose>("close\t2001:db8::7").selection.address, address("2001:db8::7"));
  EXPECT_EQ(ask<AskClose>("close\tssh").selection.door, "ssh");
  EXPECT_FALSE(ask<AskClose>("close\tssh").selection.address);
  const Selection both = ask<AskClose>("close\tssh\t192.0.2.7").selection;
  EXPECT_EQ(both.door, "ssh");
  EXPECT_EQ(both.address, address("192.0.2.7"));
}

TEST(RequestTest, CloseOfADoorThatIsCalledLikeSomethingElse) {
  EXPECT_EQ(ask<AskClose>("close\t--door=all").selection.door, "all");
  EXPECT_EQ(ask<AskClose>("close\t--door=192.0.2.7").selection.door, "192.0.2.7");
  EXPECT_EQ(ask<AskClose>("close\tall\t192.0.2.7").selection.door, "all");
  EXPECT_FALSE(ask<AskClose>("close\t--door=192.0.2.7").selection.address);
  const Selection both = ask<AskClose>("close\t--door=all\t192.0.2.7").selection;
  EXPECT_EQ(both.door, "all");
  EXPECT_EQ(both.address, address("192.0.2.7"));
}

TEST(RequestTest, MalformedCloseIsRefused) {
  EXPECT_EQ(refusal("close"), "close: expected ADDRESS, DOOR, DOOR ADDRESS or all");
  EXPECT_NE(refusal("close\tssh\t192.0.2.7\tx"), "");
  EXPECT_EQ(refusal("close\tssh\t192.0.2"), "close: expected an address, not \"192.0.2\"");
  EXPECT_EQ(refusal("close\tssh\t"), "close: expected an address, not \"\"");
}

TEST(RequestTest, Open) {
  const AskOpen open = ask<AskOpen>("open\tssh\t192.0.2.7");
  EXPECT_EQ(open.door, "ssh");
  EXPECT_EQ(open.address, address("192.0.2.7"));
  EXPECT_FALSE(open.time);
  EXPECT_EQ(ask<AskOpen>("open\tssh\t192.0.2.7\t10m").time, 600s);
  EXPECT_EQ(ask<AskOpen>("open\t--door=all\t192.0.2.7").door, "all");
}

TEST(RequestTest, MalformedOpenIsRefused) {
  EXPECT_EQ(refusal("open\tssh"), "open: expected DOOR ADDRESS [TIME]");
  EXPECT_NE(refusal("open\tssh\t192.0.2.7\t1h\t1h"), "");
  for (const char* const nobody : {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"}) {
    EXPECT_EQ(refusal(std::string("open\tssh\t") + nobody),
              std::string("open: \"") + nobody + "\" is no address that a knocker can have");
  }
  for (const char* const time : {"0", "", "1.5h", "-1", "1 h", "90000000"}) {
    EXPECT_EQ(refusal(std::string("open\tssh\t192.0.2.7\t") + time),
              std::string("open: expected a time like 90s, 10m or 1h, not \"") + time + '"');
  }
}

// --- Of knockd-fleet

TEST(RequestTest, FleetOpens) {
  const auto open = ask<AskFleetOpen>("fleet-open\tmy door\t2001:db8::7\t12.345\tsite-b");
  EXPECT_EQ(open.door, "my door");
  EXPECT_EQ(open.address, address("2001:db8::7"));
  EXPECT_EQ(open.left, 12'345ms);
  EXPECT_EQ(open.gateway, "site-b");
  EXPECT_EQ(open.user, "");
  EXPECT_EQ(ask<AskFleetOpen>("fleet-open\td\t192.0.2.7\t1\tb\talice").user, "alice");
  EXPECT_EQ(ask<AskFleetOpen>("fleet-open\t--door=all\t192.0.2.7\t1\tb").door, "--door=all");
  const std::pair<const char*, Duration> kTable[] = {
      {"0.001", 1ms}, {"1", 1s}, {"0.000000001", 1ns}, {"2147483.999", 2147483'999ms}};
  for (const auto& [text, left] : kTable) {
    EXPECT_EQ(ask<AskFleetOpen>(std::string("fleet-open\td\t192.0.2.7\t") + text + "\tb").left,
              left);
  }
}

TEST(RequestTest, MalformedFleetOpenIsRefused) {
  EXPECT_EQ(refusal("fleet-open\tssh\t192.0.2.7\t1"),
            "fleet-open: expected DOOR ADDRESS SECONDS GATEWAY [USER]");
  EXPECT_NE(refusal("fleet-open\tssh\t192.0.2.7\t1\tb\talice\tx"), "");
  EXPECT_EQ(refusal("fleet-open\tssh\t192.0.2\t1\tb"),
            "fleet-open: expected an address, not \"192.0.2\"");
  EXPECT_EQ(refusal("fleet-open\tssh\tff02::1\t1\tb"),
            "fleet-open: \"ff02::1\" is no address that a knocker can have");
  for (const char* const time : {"0", "0.0", "", ".", ".5", "5.", "-1", "1h", "1e3", "1.0000000001",
                                 "1.2.3", " 1", "2147484", "nan"}) {
    EXPECT_EQ(refusal(std::string("fleet-open\tssh\t192.0.2.7\t") + time + "\tb"),
              std::string("fleet-open: expected seconds like 12.345, not \"") + time + '"');
  }
  for (const std::string& gateway : {std::string(), std::string("a b"), std::string("a/b"),
                                     std::string("\xc3\xa4"), std::string(65, 'a')}) {
    EXPECT_NE(refusal("fleet-open\tssh\t192.0.2.7\t1\t" + gateway), "") << gateway;
    EXPECT_NE(refusal("fleet-close\tssh\t192.0.2.7\t" + gateway), "") << gateway;
    EXPECT_NE(refusal("fleet-open\tssh\t192.0.2.7\t1\tb\t" + gateway), "") << gateway;
  }
  const std::string longest(64, 'a');
  EXPECT_EQ(ask<AskFleetOpen>("fleet-open\tssh\t192.0.2.7\t1\t" + longest).gateway, longest);
  EXPECT_NE(refusal("fleet-open\tssh\t192.0.2.7\t1\tb\t" + longest), "") << "no user's name";
}

TEST(RequestTest, FleetCloses) {
  const auto close = ask<AskFleetClose>("fleet-close\tall\t192.0.2.7\tsite-b");
  EXPECT_EQ(close.selection.door, "all");
  EXPECT_EQ(close.selection.address, address("192.0.2.7"));
  EXPECT_EQ(close.gateway, "site-b");
  EXPECT_EQ(refusal("fleet-close\tssh\t192.0.2.7"), "fleet-close: expected DOOR ADDRESS GATEWAY");
}

TEST(RequestTest, FleetHasUsedACode) {
  const auto used = ask<AskFleetUsed>("fleet-used\t0123456789012345\t58933214\t192.0.2.7\tb");
  EXPECT_EQ(used.knock.secret, "0123456789012345");
  EXPECT_EQ(used.knock.step, 58933214);
  EXPECT_EQ(used.knock.source, address("192.0.2.7"));
  EXPECT_EQ(ask<AskFleetUsed>("fleet-used\t0123456789012345\t1\t::\tb").knock.source,
            address("::"));
  for (const char* const words :
       {"012345678901234\t1\t::\tb", "01234567890123456\t1\t::\tb", "012345678901234x\t1\t::\tb",
        "0123456789012345\t-1\t::\tb", "0123456789012345\t1099511627777\t::\tb",
        "0123456789012345\t1\thost\tb", "0123456789012345\t1\t::\t", "0123456789012345\t1\t::"}) {
    EXPECT_NE(refusal(std::string("fleet-used\t") + words), "") << words;
  }
}

TEST(RequestTest, FleetShares) {
  EXPECT_TRUE(ask<AskFleetShare>("fleet-share\tyes").share);
  EXPECT_FALSE(ask<AskFleetShare>("fleet-share\tno").share);
  EXPECT_EQ(refusal("fleet-share\tmaybe"), "fleet-share: expected yes or no, not \"maybe\"");
  EXPECT_EQ(refusal("fleet-share"), "fleet-share: expected yes or no");
  EXPECT_EQ(ask<AskFleetShared>("fleet-shared\t18446744073709551615").id, UINT64_MAX);
  EXPECT_EQ(refusal("fleet-shared\tx"), "fleet-shared: expected the id of a code, not \"x\"");
  EXPECT_EQ(refusal("fleet-opens\t1"),
            "expected status, close, open or events, not \"fleet-opens\"");
}

TEST(RequestTest, AnythingElseIsRefusedInOneLine) {
  EXPECT_EQ(refusal(""), "expected status, close, open or events, not \"\"");
  EXPECT_EQ(refusal("status "), "expected status, close, open or events, not \"status \"");
  EXPECT_EQ(refusal("events\tall"), "events: expected nothing behind it");
  const std::string text = refusal(std::string(4000, '\x01'));
  EXPECT_LT(text.size(), 500u);
  EXPECT_EQ(text.find('\x01'), text.npos);
}

TEST(RequestLineTest, JoinsTheWords_AndRefusesSeparatorsInThem) {
  EXPECT_EQ(*request_line({"close", "my door", "192.0.2.7"}), "close\tmy door\t192.0.2.7");
  for (const char* const word : {"a\tb", "a\nb"}) EXPECT_FALSE(request_line({"close", word}));
  EXPECT_FALSE(request_line({"close", std::string(kLongestRequest, 'a')}));
}

}  // namespace
}  // namespace knockd
