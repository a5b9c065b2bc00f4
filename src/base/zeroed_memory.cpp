// SPDX-License-Identifier: MIT
#include "knockd/base/zeroed_memory.h"

#include <sys/mman.h>

#include <cstdint>

namespace knockd {
namespace {

// Huge pages spare random reads a walk through the page tables, but the first touch of one costs
// all of it. An array that would fill one gets them, where the kernel has any; on small routers it
// has none.
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void Unmap::operator()(void* memory) const { munmap(memory, size); }

size_t mapped_size(size_t size) {
  if (size < kHugePage || size > SIZE_MAX - kHugePage) return size;
  return (size + kHugePage - 1) & ~(kHugePage - 1);
}

void* map_zeroes(size_t size) {
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (size >= kHugePage) madvise(memory, size, MADV_HUGEPAGE);
  return memory;
}

}  // namespace knockd
