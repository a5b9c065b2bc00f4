// SPDX-License-Identifier: MIT
// Lines of a state file with valid checksums and any content.
#pragma once

#include <cinttypes>
#include <string>
#include <string_view>

#include "knockd/base/crc32c.h"
#include "knockd/base/text.h"

namespace knockd {

inline std::string summed(std::string_view content) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(content.data());
  return format("%08" PRIx32 " ", crc32c({bytes, content.size()})) + std::string(content) + '\n';
}

}  // namespace knockd
