// SPDX-License-Identifier: MIT
#include "knockd/config/door_codes.h"

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/config/directives.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

constexpr uint16_t kStepBits = 0x7fff;
constexpr uint16_t kIsIpv6 = 0x8000;
constexpr size_t kPlacesOfSixDigits = 3;

void check_door(Draft& draft, const Door& door) {
  const bool has_secrets = door.places.contains("Secrets");
  if (has_secrets && door.places.contains("One_Time_Sequences")) {
    draft.error(door.place_of("Secrets"),
                "Secrets with One_Time_Sequences: expected either, not both");
  } else if (has_secrets && !door.has_codes() && !door.rule.sequence.empty()) {
    draft.error(door.place_of("Secrets"), "Secrets: expected places like totp in Sequence");
  }
  if (!door.has_codes()) return;
  if (!has_secrets) {
    draft.error(door.place_of("Sequence"), "sequence " + in_quotes(to_string(door.sequence())) +
                                               ": expected Secrets = FILE in this door");
  }
  if (door.rule.flags != kConnectionAttempt) {
    draft.error(door.place_of("TCPFlags"),
                "TCPFlags in a door with places that change: expected syn,!ack");
  }
  if (door.rule.places.typed && door.rule.places.count() == kPlacesOfSixDigits &&
      door.users.size() > 1) {
    draft.error(door.place_of("Sequence"),
                format("three typed places are 6 digits, too few for %zu users: expected four "
                       "places, or one user",
                       door.users.size()));
  }
}

}  // namespace

void check_codes(Draft& draft) {
  const Config& config = draft.config;
  for (const Door& door : config.doors) check_door(draft, door);
  const auto coded = std::ranges::find_if(config.doors, &Door::has_codes);
  if (coded == config.doors.end() || config.bounds.scan_limit != 0) return;
  draft.error(config.place_of("Scan_Limit"),
              "Scan_Limit = 0 with door " + in_quotes(coded->name) +
                  ", whose places change: expected 1 to 64: without it they are guessed");
}

std::vector<Code> codes_of(const Door& door, Step step) {
  std::vector<Code> codes;
  if (!door.has_codes()) return codes;
  const CodedSequence sequence = door.sequence();
  const auto low_step = static_cast<uint16_t>(step & kStepBits);
  for (size_t i = 0; i < door.users.size(); ++i) {
    for (const bool is_v4 : {true, false}) {
      if (!is_v4 && door.rule.places.typed) continue;  // the same
      const uint16_t family = is_v4 ? 0 : kIsIpv6;
      codes.push_back({code_ports(door.users[i].secret, sequence, step, is_v4),
                       {static_cast<uint16_t>(i), static_cast<uint16_t>(low_step | family)}});
    }
  }
  return codes;
}

}  // namespace knockd
