// SPDX-License-Identifier: MIT
#include "knockd/config/door_codes.h"

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/code/used_codes.h"
#include "knockd/config/draft.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

constexpr size_t kPlacesOfSixDigits = 3;
// The codes of all are computed in each step, while knocks wait.
constexpr size_t kMostUsersOfAllDoors = 20000;

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
  size_t users = 0;
  for (const Door& door : config.doors) {
    check_door(draft, door);
    users += door.users.size();
    if (users <= kMostUsersOfAllDoors) continue;
    return draft.error(
        door.place_of("Secrets"),
        format("Secrets: %zu users of all doors up to this one: expected at most %zu", users,
               kMostUsersOfAllDoors));
  }
  const auto coded = std::ranges::find_if(config.doors, &Door::has_codes);
  if (coded == config.doors.end()) return;
  const std::string door = " with door " + in_quotes(coded->name) + ", whose places change: ";
  if (config.bounds.scan_limit == 0) {
    draft.error(config.place_of("Scan_Limit"),
                "Scan_Limit = 0" + door + "expected 1 to 64: without it they are guessed");
  }
  if (config.state_file.empty()) {
    draft.error(config.place_of("StateFile"),
                "StateFile = none" + door + "expected a path: used codes are kept beside it");
  }
}

std::vector<Code> codes_of(const Door& door, Step step) {
  std::vector<Code> codes;
  if (!door.has_codes()) return codes;
  const CodedSequence sequence = door.sequence();
  for (size_t i = 0; i < door.users.size(); ++i) {
    for (const bool is_v4 : {true, false}) {
      if (!is_v4 && door.rule.places.typed) continue;  // the same
      codes.push_back({code_ports(door.users[i].secret, sequence, step, is_v4),
                       code_tag(static_cast<uint16_t>(i), step, is_v4)});
    }
  }
  return codes;
}

}  // namespace knockd
