// SPDX-License-Identifier: MIT
#include "knockd/code/used_codes.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

const IpAddress kAlice = *IpAddress::parse("192.0.2.7");
const IpAddress kEve = *IpAddress::parse("203.0.113.9");
const IpAddress kAlice6 = *IpAddress::parse("2001:db8::7");
constexpr Step kNow = 58933214;

TEST(CodeTag, HoldsStepAndFamily) {
  for (const Step step : {Step{0}, Step{1}, kNow - 1, kNow, Step{32767}, Step{32768}}) {
    for (const bool is_v4 : {true, false}) {
      const CodeTag tag = code_tag(9, step, is_v4);
      EXPECT_EQ(tag.user, 9);
      EXPECT_EQ(is_for_v4(tag), is_v4);
      for (const Step away : {-16383, -2, -1, 0, 1, 2, 16383}) {
        EXPECT_EQ(step_of(tag, step + away), step) << step << " seen from " << away;
      }
    }
  }
}

TEST(UsedCodes, UsedCodeIsAcceptedFromItsSourceOnly) {
  UsedCodes used;
  EXPECT_TRUE(used.allow({"a", kNow, kAlice}));
  used.add({"a", kNow, kAlice});
  EXPECT_TRUE(used.allow({"a", kNow, kAlice}));
  EXPECT_FALSE(used.allow({"a", kNow, kEve}));
  EXPECT_TRUE(used.contain({"a", kNow, kAlice}));
  EXPECT_FALSE(used.contain({"a", kNow, kEve}));
  EXPECT_FALSE(used.contain({"a", kNow + 1, kAlice}));
  EXPECT_FALSE(used.contain({"b", kNow, kAlice}));
}

TEST(UsedCodes, OlderCodeIsRefused) {
  UsedCodes used;
  used.add({"a", kNow, kAlice});
  EXPECT_FALSE(used.allow({"a", kNow - 1, kAlice}));
  EXPECT_FALSE(used.allow({"a", kNow - 1, kEve}));
  EXPECT_TRUE(used.allow({"a", kNow + 1, kEve}));
}

TEST(UsedCodes, FamiliesAndSecretsAreIndependent) {
  UsedCodes used;
  used.add({"a", kNow, kAlice});
  EXPECT_TRUE(used.allow({"a", kNow, kAlice6}));
  EXPECT_TRUE(used.allow({"b", kNow, kEve}));
  used.add({"a", kNow, kAlice6});
  EXPECT_FALSE(used.allow({"a", kNow, *IpAddress::parse("2001:db8::8")}));
}

TEST(UsedCodes, RefusedCodeChangesNothing) {
  UsedCodes used;
  used.add({"a", kNow, kAlice});
  used.add({"a", kNow - 1, kEve});
  used.add({"a", kNow, kEve});
  EXPECT_TRUE(used.contain({"a", kNow, kAlice}));
  size_t count = 0;
  used.for_each([&](const CodeKnock& knock) {
    ++count;
    EXPECT_EQ(knock.secret, "a");
    EXPECT_EQ(knock.step, kNow);
    EXPECT_EQ(knock.source, kAlice);
  });
  EXPECT_EQ(count, 1u);
}

TEST(WrongCodes, ThirdInAStepBlocksTheDoor) {
  WrongCodes wrong;
  EXPECT_FALSE(wrong.are_too_many("ssh", kNow, kNow));
  EXPECT_FALSE(wrong.add("ssh", kNow));
  EXPECT_FALSE(wrong.add("ssh", kNow));
  EXPECT_FALSE(wrong.are_too_many("ssh", kNow, kNow));
  EXPECT_TRUE(wrong.add("ssh", kNow));
  EXPECT_TRUE(wrong.are_too_many("ssh", kNow, kNow));
  EXPECT_FALSE(wrong.add("ssh", kNow)) << "that was reported";
  EXPECT_TRUE(wrong.are_too_many("ssh", kNow, kNow));
  EXPECT_FALSE(wrong.are_too_many("web", kNow, kNow));
}

TEST(WrongCodes, EachStepStartsAtZero) {
  WrongCodes wrong;
  for (int i = 0; i < 4; ++i) wrong.add("ssh", kNow);
  EXPECT_FALSE(wrong.are_too_many("ssh", kNow + 1, kNow + 1));
  EXPECT_FALSE(wrong.add("ssh", kNow + 1));
  EXPECT_FALSE(wrong.are_too_many("ssh", kNow + 1, kNow + 1));
  EXPECT_FALSE(wrong.add("ssh", kNow + 1));
  EXPECT_TRUE(wrong.add("ssh", kNow + 1));
}

constexpr int64_t kDay = 86400;

TEST(KnownSources, AreKnownForThirtyDays) {
  KnownSources known;
  EXPECT_FALSE(known.knows("ssh", kAlice, 0));
  known.add("ssh", kAlice, 1000);
  EXPECT_TRUE(known.knows("ssh", kAlice, 1000));
  EXPECT_TRUE(known.knows("ssh", kAlice, 1000 + 30 * kDay - 1));
  EXPECT_FALSE(known.knows("ssh", kAlice, 1000 + 30 * kDay));
  EXPECT_FALSE(known.knows("web", kAlice, 1000));
  EXPECT_FALSE(known.knows("ssh", kEve, 1000));
  known.add("ssh", kAlice, 1000 + 20 * kDay);
  EXPECT_TRUE(known.knows("ssh", kAlice, 1000 + 40 * kDay));
}

IpAddress numbered(uint32_t number) {
  return *IpAddress::parse("10.0." + std::to_string(number / 256) + "." +
                           std::to_string(number % 256));
}

TEST(KnownSources, LeastRecentSourceIsForgotten_WhenThereAreTooMany) {
  KnownSources known;
  for (uint32_t i = 0; i < KnownSources::kMost; ++i) known.add("ssh", numbered(i), 1000 + i);
  known.add("ssh", numbered(0), 9000);  // came again
  known.add("ssh", kAlice, 9001);
  EXPECT_TRUE(known.knows("ssh", numbered(0), 9001));
  EXPECT_FALSE(known.knows("ssh", numbered(1), 9001));
  EXPECT_TRUE(known.knows("ssh", numbered(2), 9001));
  EXPECT_TRUE(known.knows("ssh", kAlice, 9001));
  size_t count = 0;
  int64_t last = 0;
  known.for_each([&](const std::string& door, const IpAddress&, int64_t time) {
    EXPECT_EQ(door, "ssh");
    EXPECT_LE(last, time);
    last = time;
    ++count;
  });
  EXPECT_EQ(count, KnownSources::kMost);
}

}  // namespace
}  // namespace knockd
