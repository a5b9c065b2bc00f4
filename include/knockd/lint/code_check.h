// SPDX-License-Identifier: MIT
// The warnings on doors some places of which change with time: that they are guessed, or that the
// clock leads to other places than its user's.
#pragma once

#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/lint/check.h"

namespace knockd {

std::vector<Complaint> check_codes(const Config& config, const Surroundings& surroundings);

}  // namespace knockd
