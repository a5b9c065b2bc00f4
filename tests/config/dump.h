// SPDX-License-Identifier: MIT
// Prints every value of a configuration as text, the content of the .dump files. Header only, for
// tests.
#pragma once

#include <chrono>
#include <string>

#include "knockd/base/text.h"
#include "knockd/config/config.h"

namespace knockd {

inline std::string flags_text(const FlagMask& mask) {
  static constexpr const char* kNames[] = {"fin", "syn", "rst", "psh", "ack", "urg"};
  std::string text;
  for (int bit = 0; bit < 6; ++bit) {
    if ((mask.wanted >> bit & 1) != 0) text += std::string(" ") + kNames[bit];
    if ((mask.excluded >> bit & 1) != 0) text += std::string(" !") + kNames[bit];
  }
  return text.empty() ? " any" : text;
}

inline std::string command_text(const std::optional<std::string>& command) {
  if (!command) return "as the plain one";
  return command->empty() ? "nothing" : printable(*command);
}

inline long seconds_of(Duration duration) {
  return static_cast<long>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

// For a door without a shell, or with a prefix.
inline std::string admission_text(const Door& door) {
  std::string text;
  if (!door.open.empty()) {
    text += "  opens " + to_string(door.open) + (door.keep_established ? "" : ", ends connections");
    text += '\n';
  }
  if (door.open_set) text += "  in set " + to_string(*door.open_set) + '\n';
  if (door.open_set_6) text += "  in set 6 " + to_string(*door.open_set_6) + '\n';
  if (door.prefix_v4 != 128 || door.prefix_v6 != 128) {
    text += format("  prefixes %d, %d\n", door.prefix_v4, door.prefix_v6);
  }
  return text;
}

inline std::string dump(const Door& door) {
  static constexpr const char* kReknock[] = {"run", "extend", "ignore"};
  std::string text = format("door [%s] at %s:%d:%d\n", printable(door.name).c_str(),
                            door.place.file.c_str(), door.place.line, door.place.column);
  text += "  sequence " + to_string(door.sequence()) + '\n';
  if (!door.secrets_file.empty()) text += "  secrets " + door.secrets_file + '\n';
  for (const User& user : door.users) text += "  user " + user.name + '\n';
  for (const Sequence& sequence : door.sequences_ahead)
    text += "  or " + to_string(sequence) + '\n';
  if (!door.one_time_file.empty()) text += "  one-time file " + door.one_time_file + '\n';
  text += "  flags" + flags_text(door.rule.flags) + '\n';
  if (door.rule.target) text += "  target " + door.rule.target->to_string() + '\n';
  text += format("  seq_timeout %ld, cooldown %ld, cmd_timeout %ld\n",
                 seconds_of(door.rule.seq_timeout), seconds_of(door.rule.seq_cooldown),
                 seconds_of(door.cmd_timeout));
  text += "  start   " + command_text(door.start_command) + '\n';
  text += "  start 6 " + command_text(door.start_command_6) + '\n';
  text += "  stop    " + command_text(door.stop_command) + '\n';
  text += "  stop 6  " + command_text(door.stop_command_6) + '\n';
  text += std::string("  reknock ") + kReknock[static_cast<int>(door.reknock)] + '\n';
  text += admission_text(door);
  for (const auto& [name, place] : door.places) {
    text += format("  %s at %d:%d\n", std::string(name).c_str(), place.line, place.column);
  }
  return text;
}

inline std::string dump(const Config& config) {
  std::string text =
      format("syslog %s\nlog file %s\npid file %s\n", config.use_syslog ? "yes" : "no",
             config.log_file.c_str(), config.pid_file.c_str());
  text += "interfaces";
  for (const std::string& name : config.interfaces) text += ' ' + name;
  text += "\non_start " + command_text(config.on_start) + '\n';
  text += "on_stop " + command_text(config.on_stop) + '\n';
  if (config.control) text += "control " + *config.control + '\n';
  if (!config.control_group.empty()) text += "control group " + config.control_group + '\n';
  text += "state file " + (config.state_file.empty() ? "none" : config.state_file) + '\n';
  text += std::string("shutdown ") + (config.shutdown == Shutdown::kKeep ? "keep" : "close") + '\n';
  text += format("scan_limit %u, max_sources %u, log_rate %u\n", config.bounds.scan_limit,
                 config.bounds.max_sources, config.bounds.log_rate);
  if (config.open_set) text += "set " + to_string(*config.open_set) + '\n';
  if (config.open_set_6) text += "set 6 " + to_string(*config.open_set_6) + '\n';
  if (config.table != "knockd") text += "table " + config.table + '\n';
  for (const auto& [name, place] : config.places) {
    text += format("%s at %s:%d:%d\n", std::string(name).c_str(), place.file.c_str(), place.line,
                   place.column);
  }
  for (const std::string& file : config.files) text += "read " + file + '\n';
  for (const Door& door : config.doors) text += '\n' + dump(door);
  if (!config.remarks.empty()) text += '\n';
  for (const Complaint& remark : config.remarks) text += remark.to_string() + '\n';
  return text;
}

}  // namespace knockd
