// SPDX-License-Identifier: MIT
// Which openings hold which set elements, and until when. Two doors, or two knockers of one
// network, may share an element; it has the longest time of all and is removed with the last
// opening. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/keeper/nft_sets.h"

namespace knockd {

class Admissions {
 public:
  // `opening` holds exactly these elements until `until`. `awake_until` is the same time by a clock
  // that stops during suspend, like the kernel's timeouts of elements.
  void hold(uint64_t opening, const std::vector<SetElement>& elements, Instant until,
            Instant awake_until);
  // Releases all elements of an opening.
  void release(uint64_t opening);

  // The elements that an opening holds.
  const std::vector<SetElement>& of(uint64_t opening) const;
  // Until when an element must be in its set; nothing if no opening holds it.
  std::optional<Instant> until(const SetElement& element) const;
  std::optional<Instant> awake_until(const SetElement& element) const;
  // Calls visit(element, until) for each held element of this set.
  template <typename Visit>
  void for_each_of(const SetName& set, Visit&& visit) const {
    for (auto held = holders_.lower_bound({set, {}});
         held != holders_.end() && held->first.set == set; ++held) {
      visit(held->first, held->second.rbegin()->first);
    }
  }
  // The sets with held elements.
  std::set<SetName> sets() const;

 private:
  using Holders = std::set<std::pair<Instant, uint64_t>>;  // until when, which opening
  struct Opening {
    std::vector<SetElement> elements;
    Instant until;
    Instant awake_until;
  };

  std::map<uint64_t, Opening> openings_;
  std::map<SetElement, Holders> holders_;
};

}  // namespace knockd
