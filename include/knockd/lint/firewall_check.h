// SPDX-License-Identifier: MIT
// Warnings of -t for commands that change a firewall: rules that are never removed, rules that come
// too late, knockd-firewall where it cannot work.
#pragma once

#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/lint/check.h"

namespace knockd {

std::vector<Complaint> check_firewall(const Config& config, const Surroundings& surroundings);

}  // namespace knockd
