// SPDX-License-Identifier: MIT
#include "knockd/keeper/moment.h"

#include <fcntl.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"

namespace knockd {
namespace {

// chronyd, ntpd, systemd-timesyncd and BusyBox clear the kernel's STA_UNSYNC; the kernel sets it
// again when nothing was heard from them for about nine hours.
bool someone_keeps_the_wall_clock() {
  timex state{};
  return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

}  // namespace

Moment Moment::now() {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  return {.boot = BootClock::now(),
          .wall = std::chrono::seconds(wall.tv_sec) + std::chrono::nanoseconds(wall.tv_nsec),
          .wall_is_kept = someone_keeps_the_wall_clock()};
}

std::string read_boot_id() {
  const UniqueFd file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[64];
  const ssize_t length = file ? read(file.get(), text, sizeof(text)) : 0;
  return length > 0 ? std::string(trim({text, static_cast<size_t>(length)})) : std::string();
}

}  // namespace knockd
