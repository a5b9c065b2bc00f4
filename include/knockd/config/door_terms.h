// SPDX-License-Identifier: MIT
// The terms of a configuration's doors, as the openings need them. Openings share them and keep
// them until their end, even if the configuration changes.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "knockd/config/config.h"
#include "knockd/knock/event.h"
#include "knockd/knock/opening.h"

namespace knockd {

class DoorTerms {
 public:
  DoorTerms() = default;
  explicit DoorTerms(const Config& config);

  // The terms of a door for this source, by its address family.
  const std::shared_ptr<const Terms>& of(DoorNumber door, const IpAddress& source) const {
    return terms_[door][source.is_v4() ? 0 : 1];
  }

 private:
  std::vector<std::array<std::shared_ptr<const Terms>, 2>> terms_;  // IPv4, IPv6
};

}  // namespace knockd
