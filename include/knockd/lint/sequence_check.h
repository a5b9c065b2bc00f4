// SPDX-License-Identifier: MIT
// Reasons why strangers may guess a sequence, or knock it by chance.
#pragma once

#include <string>
#include <vector>

#include "knockd/knock/sequence.h"

namespace knockd {

// One sentence for each weakness.
std::vector<std::string> weaknesses_of(const Sequence& sequence);

}  // namespace knockd
