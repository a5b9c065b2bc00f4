// SPDX-License-Identifier: MIT
// What the tracker needs to recognise knocks at a door: a rule for each of its sequences in force.
// Commands and names stay in the configuration: the process that reads strangers' bytes needs
// neither.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/knock/code_places.h"
#include "knockd/knock/defaults.h"
#include "knockd/knock/event.h"
#include "knockd/knock/sequence.h"
#include "knockd/net/address.h"
#include "knockd/net/tcp_flags.h"

namespace knockd {

struct DoorRule {
  Sequence sequence;                                // empty: the door cannot be knocked at
  FlagMask flags;                                   // for tcp knocks only
  Duration seq_timeout = kDefaultSeqTimeout;        // from the first knock to the last
  Duration seq_cooldown = std::chrono::seconds(0);  // after OPEN SESAME the door ignores knocks
  DoorNumber cools_with = kNoDoor;                  // the rule that shares its cooldown
  CodePlaces places;                                // of the sequence, that change with time
  std::vector<Code> codes;          // in force, sorted; one is knocked at the places
  std::optional<IpAddress> target;  // absent: the listening interface's addresses

  // The knock at this place with this code.
  Knock knock_at(size_t place, uint16_t code) const {
    return places.contains(place) ? code_knock_at(place, code) : sequence[place];
  }
  // The code with which `knock` is the expected one at this place, after the knocks of `code` at
  // the places before; nothing if it is not expected. Without places always the first code.
  std::optional<uint16_t> code_with(size_t place, const Knock& knock, uint16_t code) const {
    if (places.contains(place)) return next_code(place, knock, code);
    return sequence[place] == knock ? std::optional(code) : std::nullopt;
  }
  // Whether the knock is one that a typed code could have here.
  bool is_typed(const Knock& knock) const;

  friend bool operator==(const DoorRule&, const DoorRule&) = default;

 private:
  // For a place that changes.
  Knock code_knock_at(size_t place, uint16_t code) const;
  std::optional<uint16_t> next_code(size_t place, const Knock& knock, uint16_t code) const;
};

// All codes in force of a door.
struct DoorCodes {
  DoorNumber door = kNoDoor;
  uint32_t generation = 0;  // of the users that its tags refer to
  std::vector<Code> codes;  // sorted; at most kMostCodes
};

}  // namespace knockd
