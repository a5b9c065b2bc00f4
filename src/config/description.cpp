// SPDX-License-Identifier: MIT
#include "knockd/config/description.h"

#include "knockd/base/text.h"
#include "knockd/net/tcp_flags.h"

namespace knockd {
namespace {

std::string seconds_text(Duration duration) {
  return format("%lld s", static_cast<long long>(
                              std::chrono::duration_cast<std::chrono::seconds>(duration).count()));
}

const char* reknock_text(Reknock reknock) {
  switch (reknock) {
    case Reknock::kRun:
      return "run";
    case Reknock::kExtend:
      return "extend";
    case Reknock::kIgnore:
      return "ignore";
  }
  return "";
}

// As in the directive.
std::string prefixes_text(const Door& door) {
  return format("%d for IPv4, %d for IPv6", door.prefix_v4 - kMappedBits, door.prefix_v6);
}

template <typename Say>
void describe_admission(const Door& door, const Say& say) {
  if (!door.open.empty()) say("opens", admitted_text({door.open, {}, 128}));
  if (door.open_set) say("by the set", to_string(*door.open_set));
  if (door.open_set_6) say("for IPv6", to_string(*door.open_set_6));
  if (door.places.contains("Open_Prefix")) say("prefixes", prefixes_text(door));
  if (!door.open.empty() && !door.keep_established) say("connections", "end when it is closed");
}

void describe(const Door& door, std::vector<std::string>& lines) {
  const auto say = [&](const char* what, const std::string& value) {
    lines.push_back(format("    %-16s %s", what, value.c_str()));
  };
  lines.push_back("door " + door.name);
  say("sequence", door.rule.sequence.empty() ? "none is left" : to_string(door.sequence()));
  for (const Sequence& sequence : door.sequences_ahead) say("or", to_string(sequence));
  if (!door.one_time_file.empty()) say("one-time file", door.one_time_file);
  if (door.has_codes()) {
    say("secrets", door.secrets_file + ", of " + counted(door.users.size(), "user"));
  }
  say("tcp flags", to_string(door.rule.flags));
  say("target", door.rule.target ? door.rule.target->to_string() : "this host");
  say("seq timeout", seconds_text(door.rule.seq_timeout));
  if (door.rule.seq_cooldown > Duration::zero()) {
    say("seq cooldown", seconds_text(door.rule.seq_cooldown));
  }
  describe_admission(door, say);
  if (!door.start_command.empty() || door.open.empty()) say("start command", door.start_command);
  if (door.start_command_6) say("for IPv6", *door.start_command_6);
  if (door.lets_in() || !door.stop_command.empty() ||
      (door.stop_command_6 && !door.stop_command_6->empty())) {
    if (!door.lets_in() || !door.stop_command.empty()) say("stop command", door.stop_command);
    if (door.stop_command_6) say("for IPv6", *door.stop_command_6);
    say("after", seconds_text(door.cmd_timeout));
    say("reknock", reknock_text(door.reknock));
    if (door.max_open != kDefaultMaxOpen) say("max open", format("%u", door.max_open));
  }
}

}  // namespace

std::vector<std::string> describe(const Config& config) {
  std::vector<std::string> lines;
  for (const std::string& file : config.files) lines.push_back("config file " + file);
  const std::string interfaces = join(config.interfaces, ", ");
  lines.push_back("interfaces " + (interfaces.empty() ? "not named" : interfaces));
  lines.push_back(format("log to syslog %s, file %s, at most %s a second of strangers",
                         config.use_syslog ? "yes" : "no",
                         config.log_file.empty() ? "none" : config.log_file.c_str(),
                         counted(config.bounds.log_rate, "line").c_str()));
  lines.push_back("pid file " + config.pid_file);
  lines.push_back("control socket " +
                  (!config.control           ? "at its usual place"
                   : config.control->empty() ? "none"
                                             : *config.control) +
                  (config.control_group.empty() ? "" : ", for the group " + config.control_group));
  lines.push_back("state file " + (config.state_file.empty() ? "none" : config.state_file) +
                  (config.shutdown == Shutdown::kClose ? ", doors are closed at shutdown"
                                                       : ", doors stay open at shutdown"));
  lines.push_back("scan limit " + counted(config.bounds.scan_limit, "port") + ", at most " +
                  counted(config.bounds.max_sources, "source"));
  if (config.open_set) lines.push_back("open by the set " + to_string(*config.open_set));
  if (config.open_set_6) lines.push_back("for IPv6 " + to_string(*config.open_set_6));
  if (!config.on_start.empty()) lines.push_back("on start " + config.on_start);
  if (!config.on_stop.empty()) lines.push_back("on stop " + config.on_stop);
  for (const Door& door : config.doors) describe(door, lines);
  return lines;
}

}  // namespace knockd
