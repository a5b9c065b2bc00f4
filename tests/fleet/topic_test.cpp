// SPDX-License-Identifier: MIT
#include "knockd/fleet/topic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

using ::testing::ElementsAre;

const std::string kFleet = "home";

Topic open_topic(const std::string& door, const std::string& address) {
  return {Topic::Kind::kOpen, "gw1", {door, *IpAddress::parse(address)}};
}

TEST(Topic, RoundTrips) {
  Topic code{Topic::Kind::kCode, "gw1"};
  code.secret = "0123456789012345";
  code.is_v4 = true;
  Topic close = open_topic("ssh", "2001:db8::7");
  close.kind = Topic::Kind::kClose;
  for (const Topic& topic :
       {open_topic("ssh", "192.0.2.7"), open_topic("a/b+c#d%e\x01\xc3\xa4 f", "192.0.2.7"), close,
        code, Topic{Topic::Kind::kSync, "gw1"}}) {
    const std::string text = to_text(kFleet, topic);
    EXPECT_EQ(parse_topic(kFleet, text), topic) << text;
  }
}

TEST(Topic, HasNoWildcardsAndLevelsOfANameInIt) {
  EXPECT_EQ(to_text(kFleet, open_topic("a/b+c#d%e\x7f", "2001:db8::7")),
            "knockd/home/gw1/open/a%2Fb%2Bc%23d%25e%7F/2001:db8::7");
}

TEST(Topic, OtherTextIsRefused) {
  for (const char* const text :
       {"", "knockd", "knockd/home/gw1", "knockd/other/gw1/open/ssh/192.0.2.7",
        "knockd/home//open/ssh/192.0.2.7", "knockd/home/gw 1/open/ssh/192.0.2.7",
        "knockd/home/gw1/open/ssh", "knockd/home/gw1/open//192.0.2.7",
        "knockd/home/gw1/open/ssh/192.0.2.7/x", "knockd/home/gw1/opens/ssh/192.0.2.7",
        // Each address has one text, and is that of a host.
        "knockd/home/gw1/open/ssh/0.0.0.0", "knockd/home/gw1/open/ssh/224.0.0.1",
        "knockd/home/gw1/open/ssh/255.255.255.255", "knockd/home/gw1/open/ssh/::",
        "knockd/home/gw1/open/ssh/ff02::1", "knockd/home/gw1/open/ssh/2001:DB8::7",
        "knockd/home/gw1/open/ssh/2001:db8:0::7", "knockd/home/gw1/open/ssh/::ffff:192.0.2.7",
        // So has each door.
        "knockd/home/gw1/open/s%73h/192.0.2.7", "knockd/home/gw1/open/a%2fb/192.0.2.7",
        "knockd/home/gw1/open/a%2/192.0.2.7", "knockd/home/gw1/open/a%/192.0.2.7",
        "knockd/home/gw1/open/a+b/192.0.2.7", "knockd/home/gw1/code/123/4",
        "knockd/home/gw1/code/012345678901234x/4", "knockd/home/gw1/code/0123456789012345/5"}) {
    EXPECT_FALSE(parse_topic(kFleet, text)) << text;
  }
  EXPECT_FALSE(
      parse_topic(kFleet, "knockd/home/gw1/open/" + std::string(2000, 'a') + "/192.0.2.7"));
  EXPECT_FALSE(parse_topic(kFleet, "knockd/home/" + std::string(65, 'a') + "/sync"));
}

TEST(Topic, ClosingsAreSubscribedToFirst) {
  EXPECT_THAT(topic_filters(kFleet, "gw1", {"a/b", "ssh"}),
              ElementsAre("knockd/home/+/code/+/+", "knockd/home/+/close/a%2Fb/+",
                          "knockd/home/+/close/ssh/+", "knockd/home/+/open/a%2Fb/+",
                          "knockd/home/+/open/ssh/+", "knockd/home/gw1/sync"));
}

}  // namespace
}  // namespace knockd
