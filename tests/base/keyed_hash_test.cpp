// SPDX-License-Identifier: MIT
#include "knockd/base/keyed_hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace knockd {
namespace {

// The example of the paper's appendix A: key 00..0f, message 00..0e.
TEST(KeyedHash, AgreesWithThePapersExample) {
  const HashKey key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::vector<uint8_t> message(15);
  std::iota(message.begin(), message.end(), uint8_t{0});
  EXPECT_EQ(keyed_hash(key, message), 0xa129ca6149be45e5u);
}

TEST(KeyedHash, DependsOnTheKey) {
  const std::vector<uint8_t> message(16, 7);
  EXPECT_NE(keyed_hash({1, 2}, message), keyed_hash({1, 3}, message));
  EXPECT_NE(random_hash_key(), random_hash_key());
}

}  // namespace
}  // namespace knockd
