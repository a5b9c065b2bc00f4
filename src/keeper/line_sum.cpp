// SPDX-License-Identifier: MIT
#include "knockd/keeper/line_sum.h"

#include <cinttypes>
#include <cstdint>

#include "knockd/base/crc32c.h"
#include "knockd/base/text.h"

namespace knockd {

std::string with_sum(std::string_view content) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(content.data());
  return format("%08" PRIx32 " ", crc32c({bytes, content.size()})).append(content);
}

}  // namespace knockd
