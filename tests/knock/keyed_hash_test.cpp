// SPDX-License-Identifier: MIT
#include "knockd/knock/keyed_hash.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>

namespace knockd {
namespace {

using Bytes = std::array<uint8_t, 16>;

Bytes counting_bytes() {
  Bytes bytes;
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

// CPython's hash() of bytes is SipHash-1-3 since 3.11; PYTHONHASHSEED=0 makes its key zero, and
// PYTHONHASHSEED=1 the second key.
TEST(KeyedHash, AgreesWithPythonsSipHash) {
  EXPECT_EQ(keyed_hash({0, 0}, counting_bytes()), 0x8972188433a5c5b7u);
  EXPECT_EQ(keyed_hash({0xaed66ce184be2329, 0xebe9bbf1f1499052}, counting_bytes()),
            0x12e9d283f9f37002u);
}

TEST(KeyedHash, DependsOnTheKey) {
  EXPECT_NE(keyed_hash({1, 2}, counting_bytes()), keyed_hash({1, 3}, counting_bytes()));
  EXPECT_NE(*random_hash_key(), *random_hash_key());
}

}  // namespace
}  // namespace knockd
