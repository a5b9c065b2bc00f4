// SPDX-License-Identifier: MIT
// A configuration in words, for -D: as the parser understood it.
#pragma once

#include <string>
#include <vector>

#include "knockd/config/config.h"

namespace knockd {

// Lines without newlines.
std::vector<std::string> describe(const Config& config);

}  // namespace knockd
