// fuzzes: config
// longest: 400
// SPDX-License-Identifier: MIT
// Whatever a one-time file holds: each sequence in force begins a line, and marking the used ones
// comes to an end.
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "knockd/config/one_time_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knockd;
  std::string text(reinterpret_cast<const char*>(data), size);
  const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
  for (std::ptrdiff_t used = 0; const auto found = find_one_time_sequence(text); ++used) {
    const bool begins_line = found->offset == 0 || text.at(found->offset - 1) == '\n';
    if (!begins_line || used == lines || found->sequence.empty()) abort();
    text.at(found->offset) = '#';
  }
  return 0;
}
