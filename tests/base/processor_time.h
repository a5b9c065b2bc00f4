// SPDX-License-Identifier: MIT
// For tests that something is not quadratic: on a busy machine it takes long, but not more of the
// processor.
#pragma once

#include <time.h>

#include <chrono>

namespace knockd {

// The processor's time that this process has used.
inline std::chrono::nanoseconds processor_time() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace knockd
