// fuzzes: config
// longest: 400
// SPDX-License-Identifier: MIT
// For any one-time file: each sequence in force begins a line, and marking the used ones ends, both
// in order and with every second one skipped.
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "knockd/config/one_time_file.h"

namespace {

using namespace knockd;

// The marks take the knocked sequence and the skipped ones before it out of force, and no other.
void use_up_in_steps(std::string text) {
  for (auto in_force = sequences_in_force(text); !in_force.empty();) {
    if (in_force.size() > kSequencesInForce) abort();
    const Sequence knocked = in_force[in_force.size() > 1 ? 1 : 0];
    const std::vector<Sequence> skipped(in_force.begin(), in_force.begin() + 1);
    const auto lines = lines_to_mark(text, knocked, skipped);
    if (lines.empty() || lines.size() > 1 + skipped.size()) abort();
    for (const size_t offset : lines) text.at(offset) = '#';
    const auto left = sequences_in_force(text);
    const size_t gone = lines.size();
    if (gone < in_force.size() && !std::equal(in_force.begin() + static_cast<std::ptrdiff_t>(gone),
                                              in_force.end(), left.begin())) {
      abort();
    }
    in_force = left;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  use_up_in_steps(text);
  const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
  for (std::ptrdiff_t used = 0; const auto found = find_one_time_sequence(text); ++used) {
    const bool begins_line = found->offset == 0 || text.at(found->offset - 1) == '\n';
    if (!begins_line || used == lines || found->sequence.empty()) abort();
    text.at(found->offset) = '#';
  }
  return 0;
}
