// SPDX-License-Identifier: MIT
#include "knockd/config/door_codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "knockd/config/parser.h"
#include "tests/config/text_files.h"

#ifdef KNOCKD_CODES

namespace knockd {
namespace {

class DoorCodesTest : public testing::Test {
 protected:
  Door door(const std::string& sequence, const std::string& more = "Secrets = phones\n") {
    files_.texts["phones"] =
        "alice GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\nbob JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n";
    const auto config = parse_config("[d]\nSequence = " + sequence + "\n" + more, "k.conf", files_);
    if (config) return config->doors.front();
    ADD_FAILURE() << config.error().complaints.front().to_string();
    return {};
  }

  TextFiles files_;
};

TEST_F(DoorCodesTest, EachUserHasOneCode_ForTypedPlaces) {
  const auto codes = codes_of(door("7000,400xx,401xx,402xx,403xx"), 1);
  ASSERT_EQ(codes.size(), 2u);
  EXPECT_EQ(codes[0], (Code{{40094, 40128, 40270, 40382}, {0, 1}}));  // 94287082: RFC 6238
  EXPECT_EQ(codes[1].tag, (CodeTag{1, 1}));
  EXPECT_NE(codes[1].ports, codes[0].ports);
}

TEST_F(DoorCodesTest, EachUserHasOneCodePerFamily_ForComputedPlaces) {
  const Door two = door("7000,totp,totp");
  const Step step = 0x8000 + 5;
  const auto codes = codes_of(two, step);
  ASSERT_EQ(codes.size(), 4u);
  EXPECT_EQ(codes[0].tag, (CodeTag{0, 5}));
  EXPECT_EQ(codes[1].tag, (CodeTag{0, 0x8000 + 5}));
  EXPECT_EQ(codes[2].tag, (CodeTag{1, 5}));
  EXPECT_EQ(codes[3].tag, (CodeTag{1, 0x8000 + 5}));
  for (const Code& code : codes) {
    const User& user = two.users[code.tag.user];
    EXPECT_EQ(code.ports, code_ports(user.secret, two.sequence(), step, code.tag.step < 0x8000));
  }
}

TEST_F(DoorCodesTest, PlainDoorHasNoCodes) {
  EXPECT_TRUE(codes_of(door("7000,8000", ""), 1).empty());
}

TEST_F(DoorCodesTest, OnlyConnectionAttemptsCount_WithoutTcpFlags) {
  EXPECT_EQ(door("7000,totp").rule.flags, kConnectionAttempt);
  EXPECT_EQ(door("7000,8000", "").rule.flags, FlagMask());
}

}  // namespace
}  // namespace knockd

#endif
