// SPDX-License-Identifier: MIT
#include "knockd/knock/door.h"

namespace knockd {

Knock DoorRule::code_knock_at(size_t place, uint16_t code) const {
  return {codes[code].ports[places.before(place)], Protocol::kTcp};
}

std::optional<uint16_t> DoorRule::next_code(size_t place, const Knock& knock, uint16_t code) const {
  if (knock.protocol != Protocol::kTcp || codes.empty()) return {};
  return find_code(codes, codes[code], places.before(place), knock.port);
}

bool DoorRule::is_typed(const Knock& knock) const {
  if (!places.typed || knock.protocol != Protocol::kTcp) return false;
  for (size_t place = 0; place < sequence.size(); ++place) {
    const uint16_t first = sequence[place].port;
    if (places.contains(place) && knock.port >= first && knock.port - first < kTypedPorts) {
      return true;
    }
  }
  return false;
}

}  // namespace knockd
