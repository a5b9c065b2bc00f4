// SPDX-License-Identifier: MIT
#include "knockd/fleet/shared_codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

using std::chrono::seconds;

const Step kStep = step_at(1766000000);
const IpAddress kAddress = *IpAddress::parse("192.0.2.7");
const CodeMessage kCode{kStep, kAddress};

class SharedCodesTest : public ::testing::Test {
 protected:
  Clocks now() const { return {now_, seconds(1766000000) + now_.time_since_epoch()}; }

  std::string hear(const std::string& gateway, int secret, Step step = kStep) {
    Topic topic{Topic::Kind::kCode, gateway};
    topic.secret = std::to_string(secret);
    topic.is_v4 = true;
    const Result<bool> is_news = codes_.received(topic, {step, kAddress}, now());
    if (!is_news) return is_news.error().text;
    return *is_news ? "news" : "known";
  }

  Instant now_{seconds(0)};
  SharedCodes codes_{"us"};
};

TEST_F(SharedCodesTest, DaemonWaitsForTheLastOfASecret) {
  codes_.used({9, "1", kCode}, true, now_);
  const auto actions = codes_.used({10, "1", kCode}, true, now_);
  ASSERT_EQ(actions.size(), 2);
  EXPECT_EQ(std::get<FleetShared>(actions[0]).id, 9);
  EXPECT_EQ(std::get<Publish>(actions[1]).code, 10);
  EXPECT_FALSE(codes_.published(9));
  ASSERT_TRUE(codes_.published(10));
  EXPECT_FALSE(codes_.published(10));
  EXPECT_TRUE(codes_.broker_lost().empty());
}

TEST_F(SharedCodesTest, CodeUsedWithoutABrokerIsPublishedLater) {
  const auto actions = codes_.used({9, "1", kCode}, false, now_);
  ASSERT_EQ(actions.size(), 1);
  EXPECT_EQ(std::get<FleetShared>(actions[0]).id, 9);
  const auto published = codes_.here(now_);
  ASSERT_EQ(published.size(), 1);
  EXPECT_EQ(published[0].code, 0) << "the daemon does not wait for it";
  EXPECT_TRUE(codes_.here(now_ + SharedCodes::kLife).empty());
}

TEST_F(SharedCodesTest, OnlyALaterCodeIsNews) {
  EXPECT_EQ(hear("gw2", 1), "news");
  EXPECT_EQ(hear("gw3", 1), "known");
  EXPECT_EQ(hear("gw2", 1, kStep - 1), "known");
  EXPECT_EQ(hear("gw3", 1, kStep + 1), "news");
  const auto known = codes_.elsewhere();
  ASSERT_EQ(known.size(), 1);
  EXPECT_EQ(known[0].gateway, "gw3");
  EXPECT_EQ(known[0].code.step, kStep + 1);
}

TEST_F(SharedCodesTest, NoGatewayUsesUpTheRoomForCodesOfOthers) {
  for (int i = 0; i < 10000; ++i) hear("gw2", i);
  EXPECT_EQ(codes_.kept(), SenderQuota::kMostOfGateway);
  EXPECT_EQ(hear("gw3", 10000), "news");
  for (int gateway = 4; gateway < 10; ++gateway) {
    for (int i = 0; i < 10000; ++i) hear("gw" + std::to_string(gateway), i * 10 + gateway);
  }
  EXPECT_EQ(codes_.kept(), SenderQuota::kMost);
  EXPECT_EQ(hear("gw4", 100000), "gw4 has too many codes");
  // Old ones make room.
  now_ += SharedCodes::kLife;
  EXPECT_EQ(hear("gw2", 1, step_at(1766000000 + 120)), "news");
  EXPECT_EQ(codes_.kept(), 1);
}

}  // namespace
}  // namespace knockd
