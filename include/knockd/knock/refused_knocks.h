// SPDX-License-Identifier: MIT
// Knocks refused because too many openings exist. For each door and reason the first is reported at
// once, the others once a minute with their number. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/clock.h"

namespace knockd {

class RefusedKnocks {
 public:
  // Time must not go backwards. Returns the line to log now, if any.
  std::optional<std::string> add(const std::string& door, const std::string& why, Instant now);
  // The lines that are due.
  std::vector<std::string> due(Instant now);
  // When due() has the next line.
  std::optional<Instant> next_report() const;

 private:
  using Key = std::pair<std::string, std::string>;  // door and reason
  struct Count {
    uint64_t untold = 0;  // since the last report
    Instant next_report{};
  };

  static std::string report(const Key& key, Count& count, Instant now);

  std::map<Key, Count> counts_;
  std::set<Key> waiting_;  // with knocks to be reported later
};

}  // namespace knockd
