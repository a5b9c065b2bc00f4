// SPDX-License-Identifier: MIT
// What the tracker must know of a door to recognise knocks at it: for each of its sequences that
// are in force a rule. Commands and names stay with the
// configuration: the process that reads strangers' bytes needs neither.
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
  DoorNumber cools_with = kNoDoor;                  // the rule whose cooldown is this one's, too
  CodePlaces places;                                // of the sequence, which change with time
  std::vector<Code> codes;          // those in force, sorted; one of them is knocked at the places
  std::optional<IpAddress> target;  // absent: the listening interface's addresses

  // What is knocked at this place with this one of the codes.
  Knock knock_at(size_t place, uint16_t code) const {
    return places.contains(place) ? code_knock_at(place, code) : sequence[place];
  }
  // Whether `knock` comes next, at this place, after those of `code` at the places before: with
  // which code, then. Without places it is always the first.
  std::optional<uint16_t> code_with(size_t place, const Knock& knock, uint16_t code) const {
    if (places.contains(place)) return next_code(place, knock, code);
    return sequence[place] == knock ? std::optional(code) : std::nullopt;
  }
  // Whether the knock is one that could be typed here.
  bool is_typed(const Knock& knock) const;

  friend bool operator==(const DoorRule&, const DoorRule&) = default;

 private:
  // Of a place that changes.
  Knock code_knock_at(size_t place, uint16_t code) const;
  std::optional<uint16_t> next_code(size_t place, const Knock& knock, uint16_t code) const;
};

// The codes of a door that are in force, all of them.
struct DoorCodes {
  DoorNumber door = kNoDoor;
  uint32_t generation = 0;  // which users those in its tags are
  std::vector<Code> codes;  // sorted; at most kMostCodes
};

}  // namespace knockd
