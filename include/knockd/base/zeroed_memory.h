// SPDX-License-Identifier: MIT
// Large arrays of zeroes that cost memory only where they are touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace knockd {

// Gives pages back to the kernel.
struct Unmap {
  size_t size = 0;  // bytes
  void operator()(void* memory) const;
};

// Huge pages (of 2 MiB, where the kernel has some) spare random reads a walk through the page
// tables, but the first touch of one costs all of it.
enum class Pages { kSmall, kHuge };

// `size` bytes of zeroes; null if there is not so much memory.
void* map_zeroes(size_t size, Pages pages);

// Has these bytes of such memory there before they are touched, in one go: a touch of each page
// takes ten times as long in some virtual machines. Before Linux 5.14 it does nothing.
void fetch_zeroes(void* memory, size_t size);

template <typename T>
using ZeroedArray = std::unique_ptr<T[], Unmap>;

// Null if there is not so much memory. The count has 64 bits so that no product of the caller's
// wraps.
template <typename T>
ZeroedArray<T> zeroed_array(uint64_t count, Pages pages) {
  static_assert(std::is_trivially_destructible_v<T>);
  if (count > SIZE_MAX / sizeof(T)) return nullptr;
  const size_t size = (count == 0 ? 1 : static_cast<size_t>(count)) * sizeof(T);
  return ZeroedArray<T>(static_cast<T*>(map_zeroes(size, pages)), Unmap{size});
}

}  // namespace knockd
