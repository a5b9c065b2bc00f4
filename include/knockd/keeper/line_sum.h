// SPDX-License-Identifier: MIT
// A line of a file after its checksum (CRC-32C, eight digits and a blank), which detects damage by
// a crash or a disk.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace knockd {

inline constexpr size_t kSumSize = 8;  // digits

// The line without its end.
std::string with_sum(std::string_view content);

}  // namespace knockd
