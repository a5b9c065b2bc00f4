// SPDX-License-Identifier: MIT
#include "knockd/knock/open_doors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const IpAddress kAlice = IpAddress::parse("192.0.2.7").value();
const IpAddress kBob = IpAddress::parse("2001:db8::7").value();

Instant at(Duration since_boot) { return Instant(since_boot); }

class OpenDoorsTest : public ::testing::Test {
 protected:
  uint64_t open(const std::string& door, const IpAddress& source, Duration deadline) {
    doors_.open({++last_id_, door, source, "eth0", "stop " + door, at(deadline)});
    return last_id_;
  }
  // The id of the opening that is found; 0 if there is none.
  uint64_t found(const std::string& door, const IpAddress& source) const {
    const OpenDoor* const open = doors_.find(door, source);
    return open == nullptr ? 0 : open->id;
  }

  OpenDoors doors_;
  uint64_t last_id_ = 0;
};

TEST_F(OpenDoorsTest, NothingIsOpenAtFirst) {
  EXPECT_EQ(doors_.size(), 0u);
  EXPECT_EQ(doors_.next_due(), std::nullopt);
  EXPECT_THAT(doors_.due(Instant::max()), IsEmpty());
  EXPECT_EQ(found("ssh", kAlice), 0u);
  EXPECT_EQ(doors_.find(1), nullptr);
  doors_.closed(1);
  doors_.extend(1, at(1s));
}

TEST_F(OpenDoorsTest, DueAtItsDeadline_Once) {
  const uint64_t ssh = open("ssh", kAlice, 10s);
  EXPECT_EQ(doors_.next_due(), at(10s));
  EXPECT_THAT(doors_.due(at(9'999ms)), IsEmpty());
  EXPECT_THAT(doors_.due(at(10s)), ElementsAre(ssh));
  EXPECT_THAT(doors_.due(at(10s)), IsEmpty());
  EXPECT_EQ(doors_.next_due(), std::nullopt);
}

TEST_F(OpenDoorsTest, DueInOrderOfDeadlines_ThenOfOpening) {
  const uint64_t late = open("late", kAlice, 30s);
  const uint64_t first = open("first", kAlice, 10s);
  const uint64_t second = open("second", kBob, 10s);
  EXPECT_THAT(doors_.due(at(1h)), ElementsAre(first, second, late));
}

TEST_F(OpenDoorsTest, ClosingDoorStaysUntilItIsClosed_ButIsNotFoundAsOpen) {
  const uint64_t ssh = open("ssh", kAlice, 10s);
  doors_.due(at(10s));
  EXPECT_EQ(doors_.size(), 1u);
  ASSERT_NE(doors_.find(ssh), nullptr);
  EXPECT_EQ(doors_.find(ssh)->stop_command, "stop ssh");
  EXPECT_EQ(found("ssh", kAlice), 0u);
  doors_.closed(ssh);
  EXPECT_EQ(doors_.size(), 0u);
  EXPECT_EQ(doors_.find(ssh), nullptr);
}

TEST_F(OpenDoorsTest, FoundByDoorAndSource) {
  const uint64_t alices_ssh = open("ssh", kAlice, 10s);
  const uint64_t alices_web = open("web", kAlice, 10s);
  const uint64_t bobs_ssh = open("ssh", kBob, 10s);
  EXPECT_EQ(found("ssh", kAlice), alices_ssh);
  EXPECT_EQ(found("web", kAlice), alices_web);
  EXPECT_EQ(found("ssh", kBob), bobs_ssh);
  EXPECT_EQ(found("web", kBob), 0u);
}

TEST_F(OpenDoorsTest, YoungestIsFound) {
  const uint64_t first = open("ssh", kAlice, 10s);
  const uint64_t second = open("ssh", kAlice, 20s);
  open("web", kAlice, 5s);
  EXPECT_EQ(found("ssh", kAlice), second);
  doors_.closed(second);
  EXPECT_EQ(found("ssh", kAlice), first);
}

TEST_F(OpenDoorsTest, ClosedBeforeItsTime_IsNeverDue) {
  const uint64_t ssh = open("ssh", kAlice, 10s);
  doors_.closed(ssh);
  doors_.closed(ssh);
  EXPECT_EQ(doors_.next_due(), std::nullopt);
  EXPECT_THAT(doors_.due(Instant::max()), IsEmpty());
  EXPECT_EQ(found("ssh", kAlice), 0u);
}

TEST_F(OpenDoorsTest, ExtendedDoorIsDueLater) {
  const uint64_t ssh = open("ssh", kAlice, 10s);
  const uint64_t web = open("web", kAlice, 15s);
  doors_.extend(ssh, at(20s));
  EXPECT_EQ(doors_.find(ssh)->deadline, at(20s));
  EXPECT_THAT(doors_.due(at(15s)), ElementsAre(web));
  EXPECT_THAT(doors_.due(at(20s)), ElementsAre(ssh));
}

TEST_F(OpenDoorsTest, DoorThatIsClosingCannotBeExtended) {
  const uint64_t ssh = open("ssh", kAlice, 10s);
  doors_.due(at(10s));
  doors_.extend(ssh, at(20s));
  EXPECT_EQ(doors_.next_due(), std::nullopt);
  EXPECT_EQ(doors_.find(ssh)->deadline, at(10s));
}

TEST_F(OpenDoorsTest, ClosingCanBeTakenBack) {
  const uint64_t ssh = open("ssh", kAlice, 10s);
  doors_.due(at(10s));
  ASSERT_EQ(found("ssh", kAlice), 0u);
  doors_.reopen(ssh, at(20s));
  EXPECT_EQ(found("ssh", kAlice), ssh);
  EXPECT_EQ(doors_.find(ssh)->deadline, at(20s));
  EXPECT_THAT(doors_.due(at(19s)), IsEmpty());
  EXPECT_THAT(doors_.due(at(20s)), ElementsAre(ssh));
  doors_.reopen(ssh + 1, at(30s));
  EXPECT_EQ(doors_.next_due(), std::nullopt) << "nobody knows it";
}

TEST_F(OpenDoorsTest, AllAreDue_ButThoseThatAreClosingAlready) {
  open("ssh", kAlice, 10s);
  const uint64_t web = open("web", kAlice, 1h);
  const uint64_t mail = open("mail", kBob, 20s);
  doors_.due(at(10s));
  EXPECT_THAT(doors_.all_due(), ElementsAre(mail, web));
  EXPECT_THAT(doors_.all_due(), IsEmpty());
  EXPECT_EQ(doors_.size(), 3u);
}

}  // namespace
}  // namespace knockd
