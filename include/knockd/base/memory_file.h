// SPDX-License-Identifier: MIT
// An unnamed file in memory, for use as the standard input of a program.
#pragma once

#include <string_view>

#include "knockd/base/result.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// A file with this content, positioned at its start. `name` is what /proc shows.
Result<UniqueFd> memory_file(const char* name, std::string_view content);

}  // namespace knockd
