// SPDX-License-Identifier: MIT
#include "knockd/code/code_ports.h"

namespace knockd {
namespace {

// Separates the counters of computed ports from those of an authenticator's codes.
constexpr uint64_t kFirstComputedCounter = uint64_t{1} << 40;

}  // namespace

std::array<uint16_t, kMostCodePlaces> code_ports(const Secret& secret, const CodedSequence& coded,
                                                 Step step, bool is_v4) {
  std::array<uint16_t, kMostCodePlaces> ports{};
  const CodePlaces& places = coded.places;
  const size_t count = places.count();
  const auto time = static_cast<uint64_t>(step);
  const uint32_t shown = places.typed ? secret.hotp(time, static_cast<unsigned>(2 * count)) : 0;
  uint32_t pairs = 1;  // 100 to the power of the pairs behind this place
  for (size_t n = 1; places.typed && n < count; ++n) pairs *= 100;
  for (size_t i = 0, n = 0; i < coded.sequence.size() && n < count; ++i) {
    if (!places.contains(i)) continue;
    if (places.typed) {
      ports[n] = static_cast<uint16_t>(coded.sequence[i].port + shown / pairs % 100);
      pairs /= 100;
    } else {
      const uint64_t counter = kFirstComputedCounter + 8 * time + n + (is_v4 ? 0 : 4);
      ports[n] =
          static_cast<uint16_t>(kFirstComputedPort + secret.hotp(counter, 8) % kComputedPorts);
    }
    ++n;
  }
  return ports;
}

}  // namespace knockd
