// SPDX-License-Identifier: MIT
// Knocks refused because too many openings exist. For each door the first is reported at once, the
// others once a minute with their number. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
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
  struct Door {
    uint64_t untold = 0;  // since the last report
    Instant next_report{};
    std::string why{};  // of the last one
  };

  static std::string report(const std::string& name, Door& door, Instant now);

  std::map<std::string, Door> doors_;
  std::set<std::string> waiting_;  // doors with knocks to be reported later
};

}  // namespace knockd
