// SPDX-License-Identifier: MIT
// A checksum that detects records on disk damaged by a torn write or a bad block.
#pragma once

#include <cstdint>
#include <span>

namespace knockd {

// CRC-32C (Castagnoli) as iSCSI defines it: RFC 3720, 12.1, with the examples of its appendix B.4.
uint32_t crc32c(std::span<const uint8_t> bytes);

}  // namespace knockd
