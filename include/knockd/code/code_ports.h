// SPDX-License-Identifier: MIT
// The ports of a secret at a time. Both ends compute them: docs/code-scheme.md.
#pragma once

#include <array>
#include <cstdint>

#include "knockd/code/secret.h"
#include "knockd/knock/code_places.h"

namespace knockd {

using Step = int64_t;  // of time: Unix time in units of 30 s (RFC 6238)
inline constexpr int64_t kSecondsOfAStep = 30;
inline Step step_at(int64_t unix_time) { return unix_time / kSecondsOfAStep; }

// The ports at these places of a sequence in this step, in order, for knocks over this address
// family; 0 after the last. Typed ones are the same for both families.
std::array<uint16_t, kMostCodePlaces> code_ports(const Secret& secret,
                                                 const CodedSequence& sequence, Step step,
                                                 bool is_v4);

}  // namespace knockd
