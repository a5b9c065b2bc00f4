// SPDX-License-Identifier: MIT
// The doors that are open, and when each is to be closed. Knows no commands' outcome, no file and
// no clock: the keeper and replay feed it and act on what it says.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/knock/open_door.h"

namespace knockd {

// Every opening is here from open() until closed(). Between due() and closed() it is closing: its
// stop command waits or runs. The cost of each call does not grow with the number of doors but by
// its logarithm.
class OpenDoors {
 public:
  void open(OpenDoor door);
  // Forgets an opening; nothing happens if it is not known.
  void closed(uint64_t id);
  // The youngest opening of this door by this source that is not closing; nothing if there is none.
  const OpenDoor* find(const std::string& door, const IpAddress& source) const;
  const OpenDoor* find(uint64_t id) const;
  void extend(uint64_t id, Instant deadline);
  // Of one that is closing: takes that back, it is open until then.
  void reopen(uint64_t id, Instant deadline);

  // The openings that are due, in the order in which they are; they are closing from now on.
  std::vector<uint64_t> due(Instant now);
  // All openings that are not closing yet, as if they were due.
  std::vector<uint64_t> all_due() { return due(Instant::max()); }
  std::optional<Instant> next_due() const;

  size_t size() const { return doors_.size(); }
  const std::map<uint64_t, OpenDoor>& all() const { return doors_; }

 private:
  std::map<uint64_t, OpenDoor> doors_;
  std::set<std::pair<Instant, uint64_t>> schedule_;
  std::set<std::pair<IpAddress, uint64_t>> by_source_;  // not closing
};

}  // namespace knockd
