// SPDX-License-Identifier: MIT
// SipHash-1-3, the variant for hash tables (Aumasson and Bernstein, "SipHash: a fast short-input
// PRF", 2012): without the key an attacker cannot choose addresses that share a bucket.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "knockd/base/result.h"

namespace knockd {

using HashKey = std::array<uint64_t, 2>;

// A key from the kernel's random numbers.
Result<HashKey> random_hash_key();

// For the 16 bytes of an address; the length is part of the hash.
uint64_t keyed_hash(const HashKey& key, std::span<const uint8_t, 16> bytes);

}  // namespace knockd
