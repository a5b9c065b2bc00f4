// SPDX-License-Identifier: MIT
#include "knockd/keeper/moment.h"

#include <fcntl.h>
#include <unistd.h>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

Moment Moment::now() {
  return {.boot = BootClock::now(), .wall = wall_now(), .wall_is_kept = is_wall_clock_in_sync()};
}

std::string read_boot_id() {
  const UniqueFd file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[64];
  const ssize_t length = file ? read(file.get(), text, sizeof(text)) : 0;
  return length > 0 ? std::string(trim({text, static_cast<size_t>(length)})) : std::string();
}

}  // namespace knockd
