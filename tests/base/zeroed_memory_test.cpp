// SPDX-License-Identifier: MIT
#include "knockd/base/zeroed_memory.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace knockd {
namespace {

TEST(ZeroedMemory, IsZero_SmallAndLarge) {
  for (const Pages pages : {Pages::kSmall, Pages::kHuge}) {
    for (const size_t count : {size_t{0}, size_t{1}, size_t{1000}, size_t{8} << 20}) {
      const auto array = zeroed_array<uint32_t>(count, pages);
      for (size_t i = 0; i < count; i += 999) {
        ASSERT_EQ(array[i], 0u);
        array[i] = 1;
      }
    }
  }
}

TEST(ZeroedMemory, IsNull_WhenThereIsNotSoMuch) {
  // A quarter of this would be there with 32 bits.
  EXPECT_EQ(zeroed_array<uint8_t>(SIZE_MAX - 8191, Pages::kSmall), nullptr);
}

}  // namespace
}  // namespace knockd
