// SPDX-License-Identifier: MIT
// Large arrays of zeroes that cost memory only where they are touched.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace knockd {

// Gives pages back to the kernel.
struct Unmap {
  size_t size = 0;  // bytes
  void operator()(void* memory) const;
};

// `size` bytes of zeroes, in huge pages where they are many; null if there is not so much memory.
void* map_zeroes(size_t size);

template <typename T>
using ZeroedArray = std::unique_ptr<T[], Unmap>;

// Null if there is not so much memory.
template <typename T>
ZeroedArray<T> zeroed_array(size_t count) {
  static_assert(std::is_trivially_destructible_v<T>);
  const size_t size = (count == 0 ? 1 : count) * sizeof(T);
  return ZeroedArray<T>(static_cast<T*>(map_zeroes(size)), Unmap{size});
}

}  // namespace knockd
