// SPDX-License-Identifier: MIT
// The text of a one-time file: a sequence a line, of which the first that is not marked with '#' is
// in force. Pure; who reads the file, and marks what was used, is elsewhere.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "knockd/knock/sequence.h"

namespace knockd {

struct OneTimeSequence {
  size_t offset = 0;  // of its line's first byte: there the '#' goes when it has been used
  Sequence sequence;
};

// The sequence in force; nothing if none is left. Blank lines, lines that start with '#' and lines
// that are no sequence are passed over. Offsets stay true when lines are appended.
std::optional<OneTimeSequence> find_one_time_sequence(std::string_view text);

}  // namespace knockd
