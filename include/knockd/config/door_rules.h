// SPDX-License-Identifier: MIT
// The trackers' rules for the doors of a configuration: one for each sequence that can be in force.
// A door with a fixed sequence has one rule. A door with a one-time file has kSequencesInForce
// rules, some of them empty if the file has fewer lines; so numbers do not change while lines are
// used up.
#pragma once

#include <vector>

#include "knockd/config/config.h"
#include "knockd/knock/door.h"
#include "knockd/knock/event.h"

namespace knockd {

class DoorRules {
 public:
  DoorRules() = default;
  explicit DoorRules(const std::vector<Door>& doors);

  // By rule number, which trackers use as the number of a door. The first rule of a door has the
  // door's own number.
  const std::vector<DoorRule>& all() const { return rules_; }
  // The door of a rule; kNoDoor of kNoDoor.
  DoorNumber door_of(DoorNumber rule) const { return rule == kNoDoor ? kNoDoor : doors_[rule]; }
  // The rules of a door, in the order of its sequences.
  std::vector<DoorNumber> of_door(DoorNumber door) const;

  // The sequence of a rule, and those in force before it at the same door.
  const Sequence& sequence(DoorNumber rule) const { return rules_[rule].sequence; }
  std::vector<Sequence> sequences_before(DoorNumber rule) const;

  // Replaces the sequences in force of a door.
  void set_sequences(DoorNumber door, const std::vector<Sequence>& sequences);

 private:
  std::vector<DoorRule> rules_;
  std::vector<DoorNumber> doors_;  // by rule number
};

}  // namespace knockd
