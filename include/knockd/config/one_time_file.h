// SPDX-License-Identifier: MIT
// The text of a one-time file: one sequence per line. The first few not marked with '#' are in
// force. Pure; one_time_list.h reads the file and marks used lines.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "knockd/knock/sequence.h"

namespace knockd {

// This many lines open a door: the first, and those that the client reaches when earlier knocks
// were lost on the way. Few, because each is one more that a stranger may guess.
inline constexpr size_t kSequencesInForce = 5;

struct OneTimeSequence {
  size_t offset = 0;  // of its line's first byte, which becomes '#' once it was used
  Sequence sequence;
};

// The first sequence in force in a line that begins at or after `from`; nothing if none is left.
// Ignores blank lines, lines that start with '#' and lines that are no sequence. Appended lines
// change no offsets.
std::optional<OneTimeSequence> find_one_time_sequence(std::string_view text, size_t from = 0);

// All sequences in force, at most kSequencesInForce, in order.
std::vector<Sequence> sequences_in_force(std::string_view text);

// Where to write '#' when `knocked` has opened a door although `skipped` were in force before it:
// first the offset of its line, then those of the skipped lines before it. Empty if no line has
// `knocked`.
std::vector<size_t> lines_to_mark(std::string_view text, const Sequence& knocked,
                                  const std::vector<Sequence>& skipped);

}  // namespace knockd
