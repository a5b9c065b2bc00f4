// SPDX-License-Identifier: MIT
#include "knockd/config/door_terms.h"

#include <utility>

namespace knockd {
namespace {

std::shared_ptr<const Terms> make_terms(const Door& door, DoorNumber number,
                                        const std::string& start, const std::string& stop,
                                        uint8_t prefix, std::optional<Admission> admission) {
  const std::shared_ptr<Terms> terms(new Terms());
  terms->number = number;
  terms->door = door.name;
  terms->start = start;
  terms->stop = stop;
  terms->prefix = prefix;
  terms->admission = std::move(admission);
  terms->open_for = door.cmd_timeout;
  terms->cooldown = door.rule.seq_cooldown;
  terms->reknock = door.reknock;
  terms->max_open = door.max_open;
  terms->one_time = !door.one_time_file.empty() || door.has_codes();
  return terms;
}

}  // namespace

DoorTerms::DoorTerms(const Config& config) {
  for (size_t i = 0; i < config.doors.size(); ++i) {
    const Door& door = config.doors[i];
    const auto number = static_cast<DoorNumber>(i);
    terms_.push_back({make_terms(door, number, door.start_command, door.stop_command,
                                 door.prefix_v4, admission_of(config, door, true)),
                      make_terms(door, number, door.start_command_6.value_or(door.start_command),
                                 door.stop_command_6.value_or(door.stop_command), door.prefix_v6,
                                 admission_of(config, door, false))});
  }
}

}  // namespace knockd
