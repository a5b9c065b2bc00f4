// SPDX-License-Identifier: MIT
#include "knockd/base/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace knockd {

Result<UniqueFd> memory_file(const char* name, std::string_view content) {
  UniqueFd file(memfd_create(name, MFD_CLOEXEC));
  if (!file) return fault_of("memfd_create");
  while (!content.empty()) {
    const ssize_t written = write(file.get(), content.data(), content.size());
    if (written < 0 && errno != EINTR) return fault_of("write");
    if (written > 0) content.remove_prefix(static_cast<size_t>(written));
  }
  if (lseek(file.get(), 0, SEEK_SET) != 0) return fault_of("lseek");
  return file;
}

}  // namespace knockd
