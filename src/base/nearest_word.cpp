// SPDX-License-Identifier: MIT
#include "knockd/base/nearest_word.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr size_t kLongestWord = 32;  // a longer one is no typing error

// The number of single-byte edits between two words if at most `near`; a larger number otherwise.
size_t edit_distance(std::string_view a, std::string_view b, size_t near) {
  if (a.size() > b.size() + near || b.size() > a.size() + near) return near + 1;
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = equals_ignoring_case(a.substr(i - 1, 1), b.substr(j - 1, 1));
      const size_t cost = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (same ? 0 : 1)});
      diagonal = std::exchange(row[j], cost);
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest_word(std::string_view mistyped,
                              const std::vector<std::string_view>& words) {
  if (mistyped.size() < 3 || mistyped.size() >= kLongestWord) return {};
  const size_t near = mistyped.size() == 3 ? 1 : 2;
  std::string_view best;
  size_t least = near + 1;
  for (const std::string_view word : words) {
    const size_t distance = edit_distance(mistyped, word, near);
    if (distance < least) std::tie(best, least) = std::tie(word, distance);
  }
  return best;
}

}  // namespace knockd
