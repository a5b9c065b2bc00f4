// SPDX-License-Identifier: MIT
#include "knockd/base/zeroed_memory.h"

#include <sys/mman.h>

namespace knockd {
void Unmap::operator()(void* memory) const { munmap(memory, size); }

void* map_zeroes(size_t size, Pages pages) {
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (pages == Pages::kHuge) madvise(memory, size, MADV_HUGEPAGE);  // a kernel may have none
  return memory;
}

}  // namespace knockd
