// SPDX-License-Identifier: MIT
#include "knockd/config/one_time_file.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "knockd/config/values.h"

namespace knockd {

std::optional<OneTimeSequence> find_one_time_sequence(std::string_view text) {
  for (size_t start = 0; start < text.size();) {
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

}  // namespace knockd
