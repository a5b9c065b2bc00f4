// SPDX-License-Identifier: MIT
#include "knockd/keeper/admissions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace knockd {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

const SetName kOwn{TableFamily::kInet, "knockd", "open4_32"};
const SetName kOther{TableFamily::kInet, "fw4", "allowed"};

SetElement element(const char* key, const SetName& set = kOwn) { return {set, key}; }
Instant at(int64_t since) { return Instant(seconds(since)); }

class AdmissionsTest : public testing::Test {
 protected:
  std::vector<std::pair<std::string, Instant>> held_in(const SetName& set) {
    std::vector<std::pair<std::string, Instant>> held;
    admissions_.for_each_of(set, [&](const SetElement& element, Instant until) {
      EXPECT_EQ(element.set, set);
      held.emplace_back(element.key, until);
    });
    return held;
  }

  Admissions admissions_;
};

TEST_F(AdmissionsTest, HoldUntilReleased) {
  admissions_.hold(1, {element("a"), element("b")}, at(10), {});
  EXPECT_EQ(admissions_.until(element("a")), at(10));
  EXPECT_THAT(admissions_.of(1), ElementsAre(element("a"), element("b")));
  admissions_.release(1);
  ASSERT_THAT(admissions_.sets(), IsEmpty());
  EXPECT_EQ(admissions_.until(element("a")), std::nullopt);
  EXPECT_THAT(admissions_.of(1), IsEmpty());
}

TEST_F(AdmissionsTest, SharedElementHasTheLongestTime_AndIsRemovedWithTheLast) {
  admissions_.hold(1, {element("a")}, at(10), at(9));
  admissions_.hold(2, {element("a")}, at(30), at(29));
  admissions_.hold(3, {element("a")}, at(20), at(19));
  EXPECT_EQ(admissions_.until(element("a")), at(30));
  EXPECT_EQ(admissions_.awake_until(element("a")), at(29));
  admissions_.release(2);
  EXPECT_EQ(admissions_.until(element("a")), at(20));
  EXPECT_EQ(admissions_.awake_until(element("a")), at(19));
  admissions_.release(3);
  EXPECT_EQ(admissions_.until(element("a")), at(10));
  admissions_.release(1);
  EXPECT_EQ(admissions_.until(element("a")), std::nullopt);
}

TEST_F(AdmissionsTest, EqualTimesCountSeparately) {
  admissions_.hold(1, {element("a")}, at(10), {});
  admissions_.hold(2, {element("a")}, at(10), {});
  admissions_.release(1);
  EXPECT_EQ(admissions_.until(element("a")), at(10));
}

TEST_F(AdmissionsTest, HoldingAgainRenewsTheTime_AlsoToAnEarlierOne) {
  admissions_.hold(1, {element("a")}, at(10), {});
  admissions_.hold(1, {element("a")}, at(20), {});
  EXPECT_EQ(admissions_.until(element("a")), at(20));
  admissions_.hold(1, {element("a")}, at(5), {});
  EXPECT_EQ(admissions_.until(element("a")), at(5));
  admissions_.release(1);
  EXPECT_EQ(admissions_.until(element("a")), std::nullopt);
}

TEST_F(AdmissionsTest, HoldingOtherElementsReleasesTheFirst) {
  admissions_.hold(1, {element("a"), element("b")}, at(10), {});
  admissions_.hold(1, {element("b"), element("c")}, at(10), {});
  EXPECT_EQ(admissions_.until(element("a")), std::nullopt);
  EXPECT_EQ(admissions_.until(element("b")), at(10));
  EXPECT_EQ(admissions_.until(element("c")), at(10));
}

TEST_F(AdmissionsTest, ElementGivenTwiceIsOne) {
  admissions_.hold(1, {element("a"), element("a")}, at(10), {});
  EXPECT_THAT(held_in(kOwn), ElementsAre(Pair("a", at(10))));
  admissions_.release(1);
  EXPECT_THAT(held_in(kOwn), IsEmpty());
}

TEST_F(AdmissionsTest, ReleasingAnUnknownHolderChangesNothing) {
  admissions_.hold(1, {element("a")}, at(10), {});
  admissions_.release(2);
  EXPECT_EQ(admissions_.until(element("a")), at(10));
}

// All elements belong to the administrator, and stay.
TEST_F(AdmissionsTest, MayHoldNothing) {
  admissions_.hold(1, {}, at(10), {});
  EXPECT_THAT(admissions_.of(1), IsEmpty());
  EXPECT_THAT(admissions_.sets(), IsEmpty());
  admissions_.release(1);
}

TEST_F(AdmissionsTest, SetsAreVisitedOneByOne_EachElementOnce) {
  admissions_.hold(1, {element("a"), element("b"), element("a", kOther)}, at(10), {});
  admissions_.hold(2, {element("b"), element("c")}, at(20), {});
  EXPECT_THAT(admissions_.sets(), ElementsAre(kOther, kOwn));
  EXPECT_THAT(held_in(kOwn), ElementsAre(Pair("a", at(10)), Pair("b", at(20)), Pair("c", at(20))));
  EXPECT_THAT(held_in(kOther), ElementsAre(Pair("a", at(10))));
  EXPECT_THAT(held_in({TableFamily::kIp, "none", "none"}), IsEmpty());
}

}  // namespace
}  // namespace knockd
