// SPDX-License-Identifier: MIT
#include "knockd/config/one_time_file.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "knockd/config/values.h"

namespace knockd {
namespace {

// Stops when `action` returns false.
template <typename Action>
void for_each_sequence(std::string_view text, Action action) {
  size_t from = 0;
  while (const auto found = find_one_time_sequence(text, from)) {
    if (!action(*found)) return;
    from = std::min(text.find('\n', found->offset), text.size() - 1) + 1;
  }
}

}  // namespace

std::optional<OneTimeSequence> find_one_time_sequence(std::string_view text, size_t from) {
  for (size_t start = from; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    if (!line.starts_with('#')) {
      const bool has_mark = start == 0 && line.starts_with(kByteOrderMark);
      auto result =
          parse_sequence(without_comment(has_mark ? line.substr(kByteOrderMark.size()) : line));
      if (auto* sequence = std::get_if<Sequence>(&result)) {
        return OneTimeSequence{start, std::move(*sequence)};
      }
    }
    start = end + 1;
  }
  return std::nullopt;
}

std::vector<Sequence> sequences_in_force(std::string_view text) {
  std::vector<Sequence> sequences;
  for_each_sequence(text, [&](const OneTimeSequence& found) {
    sequences.push_back(found.sequence);
    return sequences.size() < kSequencesInForce;
  });
  return sequences;
}

std::vector<size_t> lines_to_mark(std::string_view text, const Sequence& knocked,
                                  const std::vector<Sequence>& skipped) {
  std::vector<size_t> skipped_lines;
  std::vector<size_t> lines;
  for_each_sequence(text, [&](const OneTimeSequence& found) {
    if (found.sequence == knocked) {
      lines.push_back(found.offset);
    } else if (std::find(skipped.begin(), skipped.end(), found.sequence) != skipped.end()) {
      skipped_lines.push_back(found.offset);
    }
    return lines.empty();
  });
  if (!lines.empty()) lines.insert(lines.end(), skipped_lines.begin(), skipped_lines.end());
  return lines;
}

}  // namespace knockd
