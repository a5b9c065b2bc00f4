// SPDX-License-Identifier: MIT
#include "knockd/base/zeroed_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // asm-generic/mman-common.h
#endif

namespace knockd {

void Unmap::operator()(void* memory) const { munmap(memory, size); }

void* map_zeroes(size_t size, Pages pages) {
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (pages == Pages::kHuge) madvise(memory, size, MADV_HUGEPAGE);  // a kernel may have none
  return memory;
}

void fetch_zeroes(void* memory, size_t size) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t in_page = reinterpret_cast<uintptr_t>(memory) % page;
  madvise(static_cast<uint8_t*>(memory) - in_page, size + in_page, MADV_POPULATE_WRITE);
}

}  // namespace knockd
