// SPDX-License-Identifier: MIT
// Warnings for doors with places that change with time: codes that are easily guessed, and a clock
// that may differ from the user's.
#pragma once

#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/lint/check.h"

namespace knockd {

std::vector<Complaint> check_codes(const Config& config, const Surroundings& surroundings);

}  // namespace knockd
