// SPDX-License-Identifier: MIT
// What the tracker must know of a door to recognise knocks at it: for each of its sequences that
// are in force a rule. Commands and names stay with the
// configuration: the process that reads strangers' bytes needs neither.
#pragma once

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

  friend bool operator==(const DoorRule&, const DoorRule&) = default;
};

}  // namespace knockd
