// SPDX-License-Identifier: MIT
// A configuration in words, for -D: what was understood, whatever was written.
#pragma once

#include <string>
#include <vector>

#include "knockd/config/config.h"

namespace knockd {

// Lines without newlines.
std::vector<std::string> describe(const Config& config);

}  // namespace knockd
