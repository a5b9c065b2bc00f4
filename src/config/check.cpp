// SPDX-License-Identifier: MIT
#include "knockd/config/check.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/config/shell_command.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

constexpr uint16_t kFirstUnassigned = 1024;  // below are the well-known ports (RFC 6335, 6)
constexpr size_t kFewKnocks = 3;             // fewer are soon guessed

std::vector<uint16_t> ports_of(const Sequence& sequence) {
  std::vector<uint16_t> ports;
  for (const Knock& knock : sequence) ports.push_back(knock.port);
  return ports;
}

// Whether each port is the one before it plus `step`.
bool goes_in_steps_of(int step, const std::vector<uint16_t>& ports) {
  for (size_t i = 1; i < ports.size(); ++i) {
    if (ports[i] - ports[i - 1] != step) return false;
  }
  return ports.size() > 1;
}

// Two doors are opened by the same knocks if this is the same for both.
std::string key_of(const Door& door, const Sequence& sequence) {
  return (door.rule.target ? door.rule.target->to_string() : "") + ' ' + to_string(sequence);
}

// Behind such a command a name may mean another file, or a function.
bool changes_how_programs_are_found(const Words& words) {
  return words.front() == "cd" || words.front() == "." ||
         std::any_of(words.begin(), words.end(),
                     [](const std::string& word) { return word.starts_with("PATH="); });
}

class Checker {
 public:
  Checker(const Config& config, const Surroundings& surroundings)
      : config_(config), surroundings_(surroundings), warnings_(config.remarks) {}

  std::vector<Complaint> run() {
    check_files();
    check_interfaces();
    check_programs("On_Start", config_.place_of("On_Start"), config_.on_start);
    check_programs("On_Stop", config_.place_of("On_Stop"), config_.on_stop);
    if (config_.doors.empty()) warn({config_.file, 1, 1}, "no door: nothing can be knocked at");
    check_names();
    check_prefixes();
    collect_removals();
    for (const Door& door : config_.doors) check_door(door);
    sort_by_place(warnings_, config_.files);
    return std::move(warnings_);
  }

 private:
  void warn(Place place, std::string message) {
    warnings_.push_back({Complaint::Severity::kWarning, std::move(place), std::move(message)});
  }

  // The whole configuration.

  void check_files() {
    for (const std::string& file : config_.files) check_file({file, 1, 1}, file);
    for (const Door& door : config_.doors) {
      if (!door.one_time_file.empty()) {
        check_file(door.place_of("One_Time_Sequences"), door.one_time_file);
      }
    }
  }

  void check_file(const Place& place, const std::string& path) {
    const auto mode = surroundings_.file_mode(path);
    if (!mode || (*mode & (S_IROTH | S_IWOTH)) == 0) return;
    const char* const what = (*mode & S_IWOTH) == 0 ? "read" : "write";
    warn(place, format("file %s: others may %s it (mode %04o): expected 0600 or 0640",
                       in_quotes(path).c_str(), what, *mode));
  }

  void check_interfaces() {
    for (const std::string& name : config_.interfaces) {
      if (name == "any" || surroundings_.has_interface(name)) continue;
      warn(config_.place_of("Interface"),
           "interface " + in_quotes(name) + " does not exist: it would be waited for");
    }
  }

  void check_names() {
    std::map<std::string_view, const Door*> first;
    for (const Door& door : config_.doors) {
      const auto [earlier, is_first] = first.try_emplace(door.name, &door);
      if (is_first) continue;
      const Place& place = earlier->second->place;
      warn(door.place,
           format("door %s: another of this name is at %s:%d", in_quotes(door.name).c_str(),
                  printable(place.file).c_str(), place.line));
    }
  }

  void check_prefixes() {
    std::map<std::string, std::vector<const Door*>> by_knocks;
    for (const Door& door : config_.doors) {
      if (!door.rule.sequence.empty()) by_knocks[key_of(door, door.rule.sequence)].push_back(&door);
    }
    for (const Door& longer : config_.doors) {
      for (Sequence prefix = longer.rule.sequence; prefix.size() > 1;) {
        prefix.pop_back();
        const auto found = by_knocks.find(key_of(longer, prefix));
        if (found == by_knocks.end()) continue;
        for (const Door* door : found->second) {
          warn(place_of_sequence(*door), "door " + in_quotes(door->name) +
                                             " is opened by the first knocks of door " +
                                             in_quotes(longer.name));
        }
        by_knocks.erase(found);  // told once
      }
    }
  }

  // One door.

  void check_door(const Door& door) {
    check_sequence(door);
    check_tcp_flags(door);
    check_programs("Start_Command", door.place_of("Start_Command"), door.start_command);
    check_programs("Stop_Command", door.place_of("Stop_Command"), door.stop_command);
    check_programs("Start_Command_6", door.place_of("Start_Command_6"),
                   door.start_command_6.value_or(""));
    check_programs("Stop_Command_6", door.place_of("Stop_Command_6"),
                   door.stop_command_6.value_or(""));
    check_rules(door);
  }

  static const Place& place_of_sequence(const Door& door) {
    return door.place_of(door.one_time_file.empty() ? "Sequence" : "One_Time_Sequences");
  }

  void check_sequence(const Door& door) {
    const Sequence& sequence = door.rule.sequence;
    const std::vector<uint16_t> ports = ports_of(sequence);
    const auto weak = [&](const std::string& why) {
      warn(place_of_sequence(door), "sequence " + in_quotes(to_string(sequence)) + ": " + why);
    };
    if (sequence.size() < kFewKnocks) {
      weak(format("fewer than %zu knocks are soon guessed", kFewKnocks));
    }
    if (goes_in_steps_of(1, ports)) weak("ascending neighbours: a port scan may knock them");
    if (goes_in_steps_of(-1, ports)) weak("descending neighbours: a port scan may knock them");
    if (std::adjacent_find(sequence.begin(), sequence.end()) != sequence.end()) {
      weak("a port is repeated: programs that repeat a packet knock it by chance");
    }
    if (std::any_of(ports.begin(), ports.end(), [](int p) { return p < kFirstUnassigned; })) {
      weak("well-known ports: strangers try those below 1024 first");
    }
    const std::vector<uint16_t> kDefault = {7000, 8000, 9000};  // shipped with knockd up to 0.8
    if (ports == kDefault ||
        std::equal(ports.begin(), ports.end(), kDefault.rbegin(), kDefault.rend())) {
      weak("the default of knockd 0.8, which everyone knows");
    }
  }

  void check_tcp_flags(const Door& door) {
    const bool has_tcp =
        std::any_of(door.rule.sequence.begin(), door.rule.sequence.end(),
                    [](const Knock& knock) { return knock.protocol == Protocol::kTcp; });
    if (!has_tcp || (door.rule.flags.wanted & kTcpSyn) != 0) return;
    warn(door.place_of("TCPFlags"), "door " + in_quotes(door.name) +
                                        ": tcp knocks without TCPFlags = syn: other packets of "
                                        "a connection count, too");
  }

  void check_programs(const char* directive, const Place& place, std::string_view command) {
    std::set<std::string> seen;
    for (const Words& words : simple_commands(command)) {
      if (changes_how_programs_are_found(words)) return;
      const auto program = program_of(words);
      if (!program || !seen.insert(*program).second) continue;
      if (surroundings_.has_program(*program)) continue;
      warn(place, format("%s: program %s does not exist", directive, in_quotes(*program).c_str()));
    }
  }

  // Rules that stay.

  void collect_removals() {
    for (const Door& door : config_.doors) {
      for (const std::string& command :
           {door.start_command, door.stop_command, door.start_command_6.value_or(""),
            door.stop_command_6.value_or("")}) {
        for (const Words& words : simple_commands(command)) {
          const auto change = rule_change_of(words);
          if (change && change->kind == RuleChange::Kind::kRemoves) removed_.insert(change->rule);
        }
      }
    }
  }

  void check_rules(const Door& door) {
    const std::string& stop_6 = door.stop_command_6 ? *door.stop_command_6 : door.stop_command;
    if (leaves_rule(door.start_command, door.stop_command)) {
      warn_of_rule(door, "Start_Command");
    } else if (!door.start_command_6 && leaves_rule(door.start_command, stop_6)) {
      warn_of_rule(door, "Start_Command");
    }
    if (door.start_command_6 && leaves_rule(*door.start_command_6, stop_6)) {
      warn_of_rule(door, "Start_Command_6");
    }
  }

  void warn_of_rule(const Door& door, const char* directive) {
    warn(door.place_of(directive),
         format("%s adds a firewall rule that nothing takes away: expected a stop command, or a "
                "door that removes the rule",
                directive));
  }

  bool leaves_rule(std::string_view start, std::string_view stop) const {
    if (!stop.empty()) return false;
    for (const Words& words : simple_commands(start)) {
      const auto change = rule_change_of(words);
      if (change && change->kind == RuleChange::Kind::kAdds && !change->expires &&
          !removed_.contains(change->rule)) {
        return true;
      }
    }
    return false;
  }

  const Config& config_;
  const Surroundings& surroundings_;
  std::vector<Complaint> warnings_;
  std::set<std::string> removed_;  // the rules that some door's command takes away
};

}  // namespace

std::vector<Complaint> check(const Config& config, const Surroundings& surroundings) {
  return Checker(config, surroundings).run();
}

}  // namespace knockd
