// SPDX-License-Identifier: MIT
// The checksum by which a record on disk is told from what a torn write or a bad block left there.
#pragma once

#include <cstdint>
#include <span>

namespace knockd {

// CRC-32C (Castagnoli) as iSCSI defines it: RFC 3720, 12.1, with the examples of its appendix B.4.
uint32_t crc32c(std::span<const uint8_t> bytes);

}  // namespace knockd
