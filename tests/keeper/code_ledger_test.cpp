// SPDX-License-Identifier: MIT
#include "knockd/keeper/code_ledger.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "knockd/config/door_codes.h"

namespace knockd {
namespace {

#ifdef KNOCKD_CODES

constexpr int64_t kNow = 1'767'996'420 + 7;
constexpr const char* kAliceSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
constexpr const char* kBobSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const IpAddress kHome = *IpAddress::parse("192.0.2.7");
const IpAddress kHome6 = *IpAddress::parse("2001:db8::7");
const IpAddress kEve = *IpAddress::parse("203.0.113.9");

class CodeLedgerTest : public ::testing::Test {
 protected:
  static constexpr DoorNumber kPlain = 0, kSsh = 1, kWeb = 2, kTyped = 3;

  void SetUp() override {
    doors_.resize(4);
    doors_[kPlain].name = "plain";
    doors_[kPlain].rule.sequence = {{7000}};
    door(kSsh, "ssh", "7000,totp,totp,totp,totp");
    door(kWeb, "web", "7100,totp,totp,totp,totp");
    door(kTyped, "typed", "7200,400xx,401xx,402xx,403xx");
    ledger_.renew();
  }
  void door(DoorNumber number, const char* name, const char* sequence) {
    Door& door = doors_[number];
    door.name = name;
    const auto coded = std::get<CodedSequence>(parse_coded_sequence(sequence));
    door.rule.sequence = coded.sequence;
    door.rule.places = coded.places;
    door.users.push_back({"alice", *Secret::parse(kAliceSecret)});
    door.users.push_back({"bob", *Secret::parse(kBobSecret)});
  }
  static CodeTag tag(uint16_t user, int steps_away = 0, bool is_v4 = true) {
    return code_tag(user, step_at(kNow) + steps_away, is_v4);
  }
  std::string judge(DoorNumber door, const IpAddress& source, CodeTag code, int64_t time = kNow) {
    return ledger_.judge(door, source, code, time, time).text;
  }
  void use(DoorNumber door, const IpAddress& source, CodeTag code, int64_t time = kNow) {
    EXPECT_EQ(ledger_.judge(door, source, code, time, time).refused, "");
    ledger_.use(door, ledger_.knock_of(door, source, code, time), time);
  }
  static constexpr const char* kUsed = ", refused: it, or a later one, was used before";

  std::vector<Door> doors_;
  CodeLedger ledger_{doors_};
};

TEST_F(CodeLedgerTest, ListenersGetTheStepBeforeThisOneAndTwoToCome) {
  const auto all = ledger_.codes(step_at(kNow));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].door, kSsh);
  EXPECT_EQ(all[2].door, kTyped);
  EXPECT_EQ(all[0].codes.size(), 4u * 2 * 2);
  EXPECT_EQ(all[2].codes.size(), 4u * 2);
  EXPECT_TRUE(std::ranges::is_sorted(all[0].codes));
  for (const int away : {-1, 0, 1, 2}) {
    for (const Code& code : codes_of(doors_[kSsh], step_at(kNow) + away)) {
      EXPECT_TRUE(std::ranges::binary_search(all[0].codes, code)) << away;
    }
  }
  std::vector<DoorRule> rules(4);
  ledger_.add_to(rules, step_at(kNow));
  EXPECT_TRUE(rules[kPlain].codes.empty());
  EXPECT_EQ(rules[kSsh].codes, all[0].codes);
}

TEST_F(CodeLedgerTest, CodesFollowTheTime_AlsoBack) {
  const auto now = ledger_.codes(step_at(kNow));
  const auto later = ledger_.codes(step_at(kNow) + 1000);
  EXPECT_NE(now[0].codes, later[0].codes);
  EXPECT_EQ(ledger_.codes(step_at(kNow))[0].codes, now[0].codes);
}

TEST_F(CodeLedgerTest, ChangedUsersGiveANewGeneration) {
  const uint32_t before = ledger_.generation();
  ledger_.renew();
  EXPECT_EQ(ledger_.generation(), before);
  ledger_.forget_users();
  EXPECT_NE(ledger_.generation(), before);
  EXPECT_EQ(ledger_.codes(step_at(kNow))[0].generation, ledger_.generation());
}

TEST_F(CodeLedgerTest, DoorsAreThoseOfTheRenewal) {
  doors_.pop_back();
  ledger_.renew();
  EXPECT_EQ(ledger_.codes(step_at(kNow)).size(), 2u);
  doors_.clear();
  ledger_.renew();
  EXPECT_TRUE(ledger_.is_empty());
}

TEST_F(CodeLedgerTest, UsersAreThoseOfTheRenewal) {
  ledger_.codes(step_at(kNow));
  doors_[kSsh].users.pop_back();
  ledger_.forget_users();
  ledger_.renew();
  EXPECT_EQ(ledger_.codes(step_at(kNow))[0].codes.size(), 4u * 2);
  EXPECT_EQ(judge(kSsh, kHome, tag(1)), "code refused: it is nobody's");
}

TEST_F(CodeLedgerTest, OneStepAwayOpens) {
  EXPECT_EQ(judge(kSsh, kHome, tag(0)), "code of alice, accepted");
  EXPECT_EQ(judge(kSsh, kHome, tag(1, -1)), "code of bob for the step before, accepted");
  EXPECT_EQ(judge(kSsh, kHome, tag(0, 1)), "code of alice for the next step, accepted");
  for (const int away : {-2, 2, 3, -1000}) {
    EXPECT_EQ(judge(kSsh, kHome, tag(0, away)), "code of alice, refused: it is of another time")
        << away;
  }
}

TEST_F(CodeLedgerTest, ComputedCodesAreOfOneFamily_TypedOnesOfBoth) {
  EXPECT_EQ(judge(kSsh, kHome6, tag(0, 0, false)), "code of alice, accepted");
  const std::string refused = "code of alice, refused: it is for the other address family";
  EXPECT_EQ(judge(kSsh, kHome6, tag(0, 0, true)), refused);
  EXPECT_TRUE(ledger_.judge(kSsh, kHome6, tag(0, 0, true), kNow, kNow).is_of_other_family);
  EXPECT_FALSE(ledger_.judge(kSsh, kHome6, tag(0, 0, false), kNow, kNow).is_of_other_family);
  EXPECT_EQ(judge(kSsh, kHome, tag(0, 0, false)), refused);
  EXPECT_EQ(judge(kTyped, kHome, tag(0)), "code of alice, accepted");
  EXPECT_EQ(judge(kTyped, kHome6, tag(0)), "code of alice, accepted");
}

TEST_F(CodeLedgerTest, AUsedCodeOpensOnlyForItsSource_AtAllDoors) {
  use(kSsh, kHome, tag(0));
  EXPECT_EQ(judge(kSsh, kHome, tag(0)), "code of alice, accepted");
  for (const DoorNumber door : {kSsh, kWeb, kTyped}) {
    EXPECT_EQ(judge(door, kEve, tag(0)), std::string("code of alice") + kUsed) << door;
    EXPECT_EQ(judge(door, kEve, tag(0, -1)),
              std::string("code of alice for the step before") + kUsed)
        << door;
  }
  EXPECT_EQ(judge(kSsh, kHome, tag(0, -1)),
            std::string("code of alice for the step before") + kUsed);
  EXPECT_EQ(judge(kSsh, kEve, tag(1)), "code of bob, accepted");
  EXPECT_EQ(judge(kSsh, kHome6, tag(0, 0, false)), "code of alice, accepted");
}

// Knocked by a page at a name with both families, or typed, in an IPv4-only network.
TEST_F(CodeLedgerTest, CodeHeardOverIpv4ThatIsValidOverIpv6IsUsedUp) {
  EXPECT_FALSE(ledger_.overheard(kSsh, kHome, tag(0, 0, true), kNow));
  for (const auto& [door, code] : {std::pair(kSsh, tag(0, 0, false)), std::pair(kTyped, tag(1))}) {
    const auto overheard = ledger_.overheard(door, kHome, code, kNow);
    ASSERT_TRUE(overheard) << door;
    ledger_.used().add(*overheard);
    EXPECT_THAT(judge(door, kHome6, code), testing::EndsWith(kUsed));
    EXPECT_THAT(judge(kSsh, kHome, tag(code.user)), testing::EndsWith(", accepted"));
    EXPECT_FALSE(ledger_.overheard(door, kHome, code, kNow)) << "written once";
  }
}

// With IPv6 a browser knocks over that first.
TEST_F(CodeLedgerTest, CodeKnockedOverIpv6AlsoOpensOverIpv4) {
  use(kTyped, kHome6, tag(0));
  EXPECT_FALSE(ledger_.overheard(kTyped, kHome6, tag(0), kNow));
  EXPECT_FALSE(ledger_.overheard(kTyped, kHome, tag(0), kNow));
  EXPECT_EQ(judge(kTyped, kHome6, tag(0)), "code of alice, accepted");
  EXPECT_EQ(judge(kTyped, kHome, tag(0)), "code of alice, accepted");
}

TEST_F(CodeLedgerTest, AClockSetBackMakesNoUsedCodeValid) {
  use(kSsh, kHome, tag(0));
  const int64_t later = kNow + 3000;
  use(kSsh, kHome, code_tag(0, step_at(later), true), later);
  EXPECT_NE(ledger_.judge(kSsh, kEve, tag(0), kNow, kNow).refused, "");
  EXPECT_EQ(ledger_.judge(kSsh, kHome, tag(0), kNow, kNow).refused,
            "one of a later time was used, when the clock was ahead");
}

TEST_F(CodeLedgerTest, ThreeWrongCodesBlockTypedCodesInThisStep) {
  EXPECT_FALSE(ledger_.wrong(kTyped, kNow));
  EXPECT_FALSE(ledger_.wrong(kTyped, kNow));
  EXPECT_EQ(judge(kTyped, kHome, tag(0)), "code of alice, accepted");
  EXPECT_TRUE(ledger_.wrong(kTyped, kNow));
  EXPECT_EQ(judge(kTyped, kHome, tag(0)),
            "code of alice, refused: too many wrong codes in this step");
  for (const int away : {-1, 1}) {
    EXPECT_NE(ledger_.judge(kTyped, kHome, tag(0, away), kNow, kNow).refused, "") << away;
  }
  EXPECT_EQ(judge(kSsh, kHome, tag(0)), "code of alice, accepted") << "computed ones are";
  EXPECT_EQ(judge(kTyped, kHome, tag(0, 1), kNow + 30), "code of alice, accepted");
}

// Otherwise ten thousand sources would knock all ports but the last in one step, and those still
// possible would send it in the next: that opened 6 digits within an hour.
TEST_F(CodeLedgerTest, ThreeWrongCodesAlsoBlockKnocksFromThisStepInTheNext) {
  for (int i = 0; i < 3; ++i) ledger_.wrong(kTyped, kNow);
  const int64_t next = kNow + 30;
  EXPECT_EQ(ledger_.judge(kTyped, kHome, tag(0, 1), next, kNow).text,
            "code of alice, refused: too many wrong codes in this step");
  EXPECT_NE(ledger_.judge(kTyped, kHome, tag(0, 1), next, kNow - 30).refused, "");
  EXPECT_EQ(ledger_.judge(kTyped, kHome, tag(0, 1), next, next - 5).refused, "");
  ledger_.wrong(kTyped, next);
  EXPECT_NE(ledger_.judge(kTyped, kHome, tag(0, 1), next, kNow).refused, "") << "still";
  EXPECT_EQ(ledger_.judge(kTyped, kHome, tag(0), kNow - 30, kNow - 30).refused, "")
      << "after a clock that was set back";
}

TEST_F(CodeLedgerTest, KnownSourceIsNotBlocked) {
  const int64_t before = kNow - 86400;
  use(kTyped, kHome, code_tag(0, step_at(before), true), before);
  use(kSsh, kEve, tag(1));
  for (int i = 0; i < 3; ++i) ledger_.wrong(kTyped, kNow);
  EXPECT_EQ(judge(kTyped, kHome, tag(0)), "code of alice, accepted");
  EXPECT_NE(ledger_.judge(kTyped, kEve, tag(0), kNow, kNow).refused, "")
      << "he opened another door";
  // The shared address of a public network, from which others guess.
  EXPECT_NE(ledger_.judge(kTyped, kHome, tag(0), kNow, kNow, true).refused, "");
  EXPECT_FALSE(ledger_.known().knows("ssh", kEve, kNow)) << "nobody asks who opened that one";
}

#endif

}  // namespace
}  // namespace knockd
