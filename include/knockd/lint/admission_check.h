// SPDX-License-Identifier: MIT
// Warnings of -t for doors without a shell: ports that would stay open, knockers that would not be
// let in.
#pragma once

#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/lint/check.h"

namespace knockd {

std::vector<Complaint> check_admissions(const Config& config, const Surroundings& surroundings);

}  // namespace knockd
