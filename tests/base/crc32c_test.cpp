// SPDX-License-Identifier: MIT
#include "knockd/base/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

namespace knockd {
namespace {

uint32_t crc_of(std::string_view text) {
  return crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

// RFC 3720, B.4, which prints the bytes in the order of sending, low byte first.
TEST(Crc32cTest, MatchesTheExamplesOfTheRfc) {
  EXPECT_EQ(crc32c(std::vector<uint8_t>(32, 0x00)), 0x8a9136aa);
  EXPECT_EQ(crc32c(std::vector<uint8_t>(32, 0xff)), 0x62a8ab43);
  std::vector<uint8_t> rising(32);
  std::iota(rising.begin(), rising.end(), uint8_t{0});
  EXPECT_EQ(crc32c(rising), 0x46dd794e);
  EXPECT_EQ(crc32c(std::vector<uint8_t>(rising.rbegin(), rising.rend())), 0x113fdb5c);
}

TEST(Crc32cTest, MatchesTheUsualCheckValue) {
  EXPECT_EQ(crc_of("123456789"), 0xe3069283);
  EXPECT_EQ(crc_of(""), 0u);
}

}  // namespace
}  // namespace knockd
