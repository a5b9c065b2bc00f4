// SPDX-License-Identifier: MIT
// Which set elements are held by which openings, and until when: two doors, or two knockers of one
// network, may share an element, which then has the longest time of all and goes with the last.
// Pure.
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
  // `opening` holds these elements until then, and no others. `awake_until` is the same by a clock
  // that stands still while the machine sleeps, as the kernel's timeouts of elements do.
  void hold(uint64_t opening, const std::vector<SetElement>& elements, Instant until,
            Instant awake_until);
  // It holds nothing any longer.
  void release(uint64_t opening);

  // What an opening holds.
  const std::vector<SetElement>& of(uint64_t opening) const;
  // Until when an element is to be in; nothing if nobody holds it.
  std::optional<Instant> until(const SetElement& element) const;
  std::optional<Instant> awake_until(const SetElement& element) const;
  // Calls visit(element, until) for each element that is held of this set.
  template <typename Visit>
  void for_each_of(const SetName& set, Visit&& visit) const {
    for (auto held = holders_.lower_bound({set, {}});
         held != holders_.end() && held->first.set == set; ++held) {
      visit(held->first, held->second.rbegin()->first);
    }
  }
  // The sets in which anything is held.
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
