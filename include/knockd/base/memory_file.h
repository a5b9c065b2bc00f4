// SPDX-License-Identifier: MIT
// A file without a name, in memory: what a program is to read as its standard input.
#pragma once

#include <string_view>

#include "knockd/base/result.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// One with this content, to be read from its beginning. `name` is what /proc shows.
Result<UniqueFd> memory_file(const char* name, std::string_view content);

}  // namespace knockd
