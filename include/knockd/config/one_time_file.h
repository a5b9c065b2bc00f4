// SPDX-License-Identifier: MIT
// The text of a one-time file: a sequence a line, of which the first few that are not marked with
// '#' are in force. Pure; who reads the file, and marks what was used, is in one_time_list.h.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "knockd/knock/sequence.h"

namespace knockd {

// So many lines open a door: the first, and those that its client comes to if as many knocks less
// one were lost on their way. Each is one more that a stranger may guess, so there are few.
inline constexpr size_t kSequencesInForce = 5;

struct OneTimeSequence {
  size_t offset = 0;  // of its line's first byte: there the '#' goes when it has been used
  Sequence sequence;
};

// The first sequence in force in a line that begins at `from` or behind it; nothing if none is
// left. Blank lines, lines that start with '#' and lines that are no sequence are passed over.
// Offsets stay true when lines are appended.
std::optional<OneTimeSequence> find_one_time_sequence(std::string_view text, size_t from = 0);

// All that are in force, at most kSequencesInForce, in their order.
std::vector<Sequence> sequences_in_force(std::string_view text);

// Where the '#' goes when `knocked` has opened a door although `skipped` were in force before it:
// the offset of its line first, then those of the skipped lines that stand before it. Nothing if
// `knocked` is in no line.
std::vector<size_t> lines_to_mark(std::string_view text, const Sequence& knocked,
                                  const std::vector<Sequence>& skipped);

}  // namespace knockd
