// SPDX-License-Identifier: MIT
#include "knockd/config/door_rules.h"

#include "knockd/config/one_time_file.h"

namespace knockd {

DoorRules::DoorRules(const std::vector<Door>& doors) {
  for (const Door& door : doors) {
    doors_.push_back(static_cast<DoorNumber>(rules_.size()));
    rules_.push_back(door.rule);
  }
  for (size_t i = 0; i < doors.size(); ++i) {
    if (doors[i].one_time_file.empty()) continue;
    const auto number = static_cast<DoorNumber>(i);
    DoorRule rule = doors[i].rule;
    rule.cools_with = number;
    for (size_t ahead = 0; ahead + 1 < kSequencesInForce; ++ahead) {
      const auto& sequences = doors[i].sequences_ahead;
      rule.sequence = ahead < sequences.size() ? sequences[ahead] : Sequence();
      rules_.push_back(rule);
      doors_.push_back(number);
    }
  }
}

std::vector<DoorNumber> DoorRules::of_door(DoorNumber door) const {
  std::vector<DoorNumber> numbers;
  for (size_t rule = 0; rule < doors_.size(); ++rule) {
    if (doors_[rule] == door) numbers.push_back(static_cast<DoorNumber>(rule));
  }
  return numbers;
}

std::vector<Sequence> DoorRules::sequences_before(DoorNumber rule) const {
  std::vector<Sequence> sequences;
  for (const DoorNumber other : of_door(doors_[rule])) {
    if (other == rule) break;
    sequences.push_back(rules_[other].sequence);
  }
  return sequences;
}

void DoorRules::set_sequences(DoorNumber door, const std::vector<Sequence>& sequences) {
  const std::vector<DoorNumber> numbers = of_door(door);
  for (size_t i = 0; i < numbers.size(); ++i) {
    rules_[numbers[i]].sequence = i < sequences.size() ? sequences[i] : Sequence();
  }
}

}  // namespace knockd
