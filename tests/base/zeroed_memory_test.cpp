// SPDX-License-Identifier: MIT
#include "knockd/base/zeroed_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

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

TEST(ZeroedMemory, IsThereOnceItIsFetched_AndStaysAsItWas) {
  constexpr size_t kSize = 100'000;
  const auto array = zeroed_array<uint8_t>(kSize, Pages::kSmall);
  const auto pages_there = [&] {
    std::vector<unsigned char> there(kSize / 4096 + 1);
    EXPECT_EQ(mincore(array.get(), kSize, there.data()), 0);
    return std::count_if(there.begin(), there.end(), [](unsigned char page) { return page & 1; });
  };
  if (sysconf(_SC_PAGESIZE) != 4096) GTEST_SKIP() << "counts pages of 4 kB";
  array[4200] = 7;
  if (pages_there() != 1) GTEST_SKIP() << "no telling which pages are there: qemu says all";
  fetch_zeroes(&array[5000], 40'000);
  EXPECT_EQ(array[4200], 7);
  const auto fetched = pages_there();
  if (fetched == 1) GTEST_SKIP() << "nothing is fetched before Linux 5.14, nor by qemu";
  EXPECT_EQ(fetched, 10);
}

TEST(ZeroedMemory, IsNull_WhenThereIsNotSoMuch) {
  // A quarter of this would be there with 32 bits.
  EXPECT_EQ(zeroed_array<uint8_t>(SIZE_MAX - 8191, Pages::kSmall), nullptr);
}

TEST(ZeroedMemory, IsNull_WhenItsSizeDoesNotFitANumber) {
  EXPECT_EQ(zeroed_array<uint64_t>(SIZE_MAX / 8 + 2, Pages::kSmall), nullptr);
  EXPECT_EQ(zeroed_array<uint16_t>(uint64_t{1} << 63, Pages::kSmall), nullptr);
}

}  // namespace
}  // namespace knockd
