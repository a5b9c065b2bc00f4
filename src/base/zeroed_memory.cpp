// SPDX-License-Identifier: MIT
#include "knockd/base/zeroed_memory.h"

#include <sys/mman.h>

namespace knockd {
namespace {

// From here on an array is worth huge pages: those of 2 MiB spare random reads a walk through the
// page tables, but a touch of one costs all of it.
constexpr size_t kWorthHugePages = size_t{16} << 20;

}  // namespace

void Unmap::operator()(void* memory) const { munmap(memory, size); }

void* map_zeroes(size_t size) {
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (size >= kWorthHugePages) madvise(memory, size, MADV_HUGEPAGE);  // a kernel may have none
  return memory;
}

}  // namespace knockd
