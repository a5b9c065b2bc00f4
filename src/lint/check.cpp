// SPDX-License-Identifier: MIT
#include "knockd/lint/check.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/config/values.h"
#include "knockd/lint/admission_check.h"
#include "knockd/lint/code_check.h"
#include "knockd/lint/firewall_check.h"
#include "knockd/lint/sequence_check.h"
#include "knockd/lint/shell_command.h"

namespace knockd {
namespace {

// The least tcp knocks for the scan guard to work, which handles only tcp.
constexpr auto kGuardedKnocks = 2;

// Two doors open at the same knocks if their keys are equal; with `length`, at the first `length`
// knocks of one.
std::string key_of(const Door& door, size_t length) {
  CodedSequence first = door.sequence();
  first.sequence.resize(length);
  const bool has_codes = first.places.before(length) > 0;
  // An authenticator's code has the digits of all typed places.
  const size_t digits = first.places.typed ? 2 * first.places.count() : 0;
  return (door.rule.target ? door.rule.target->to_string() : "") + ' ' + to_string(first) +
         (has_codes ? format(" %zu ", digits) + door.secrets_file : "");
}

// After such a command a name may mean another file or a function.
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
    check_control_group();
    check_scan_limit();
    check_programs("On_Start", config_.place_of("On_Start"), config_.on_start);
    check_programs("On_Stop", config_.place_of("On_Stop"), config_.on_stop);
    if (config_.doors.empty())
      warn({config_.file, 1, 1, true}, "no door: nothing can be knocked at");
    check_names();
    check_prefixes();
    for (const Door& door : config_.doors) check_door(door);
    std::ranges::move(check_firewall(config_, surroundings_), std::back_inserter(warnings_));
    std::ranges::move(check_admissions(config_, surroundings_), std::back_inserter(warnings_));
    std::ranges::move(check_codes(config_, surroundings_), std::back_inserter(warnings_));
    sort_by_place(warnings_, config_.files);
    return std::move(warnings_);
  }

 private:
  void warn(Place place, std::string message, std::string write = "") {
    warnings_.push_back(
        {Complaint::Severity::kWarning, std::move(place), std::move(message), std::move(write)});
  }

  // The whole configuration.

  void check_files() {
    for (const std::string& file : config_.files) check_file({file, 1, 1, true}, file);
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

  void check_control_group() {
    const std::string& group = config_.control_group;
    if (group.empty() || surroundings_.has_group(group)) return;
    warn(config_.place_of("Control_Group"),
         "group " + in_quotes(group) + " does not exist: nobody could ask the daemon");
  }

  void check_scan_limit() {
    if (config_.bounds.scan_limit != 0 || config_.doors.empty()) return;
    warn(config_.place_of("Scan_Limit"),
         "Scan_Limit = 0 turns the scan guard off: a port scan can open doors");
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
      if (!door.rule.sequence.empty())
        by_knocks[key_of(door, door.rule.sequence.size())].push_back(&door);
    }
    for (const Door& longer : config_.doors) {
      for (size_t length = longer.rule.sequence.size(); length > 1;) {
        const auto found = by_knocks.find(key_of(longer, --length));
        if (found == by_knocks.end()) continue;
        for (const Door* door : found->second) {
          warn(place_of_sequence(*door), "door " + in_quotes(door->name) +
                                             " is opened by the first knocks of door " +
                                             in_quotes(longer.name));
        }
        by_knocks.erase(found);  // reported once
      }
    }
  }

  // One door.

  void check_door(const Door& door) {
    check_sequence(door);
    check_scan_guard(door);
    check_programs("Start_Command", door.place_of("Start_Command"), door.start_command);
    check_programs("Stop_Command", door.place_of("Stop_Command"), door.stop_command);
    check_programs("Start_Command_6", door.place_of("Start_Command_6"),
                   door.start_command_6.value_or(""));
    check_programs("Stop_Command_6", door.place_of("Stop_Command_6"),
                   door.stop_command_6.value_or(""));
  }

  static const Place& place_of_sequence(const Door& door) {
    return door.place_of(door.one_time_file.empty() ? "Sequence" : "One_Time_Sequences");
  }

  void check_sequence(const Door& door) {
    const Sequence& sequence = door.rule.sequence;
    if (door.has_codes()) return;  // check_codes()
    if (sequence.empty()) return;  // the parser has reported the exhausted list
    for (const std::string& why : weaknesses_of(sequence)) {
      warn(place_of_sequence(door), "sequence " + in_quotes(to_string(sequence)) + ": " + why);
    }
  }

  // Warns if a scan can open the door because the scan guard handles too few of its knocks: it
  // counts connection attempts (see Tracker::count_against_scan).
  void check_scan_guard(const Door& door) {
    const Sequence& sequence = door.rule.sequence;
    const auto tcp_knocks = std::count_if(sequence.begin(), sequence.end(), [](const Knock& knock) {
      return knock.protocol == Protocol::kTcp;
    });
    if (tcp_knocks < kGuardedKnocks && sequence.size() > 1) {
      warn(place_of_sequence(door), "sequence " + in_quotes(to_string(door.sequence())) +
                                        ": fewer than two tcp knocks: a port scan can open the "
                                        "door, the scan guard sees tcp alone");
    }
    if (tcp_knocks > 0 && !is_connection_attempt(door.rule.flags.wanted)) {
      warn(door.place_of("TCPFlags"),
           "door " + in_quotes(door.name) +
               ": tcp knocks without TCPFlags = syn: a port scan can open the door, the scan guard "
               "sees connection attempts (SYN without ACK) alone",
           "TCPFlags = syn");
    }
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

  const Config& config_;
  const Surroundings& surroundings_;
  std::vector<Complaint> warnings_;
};

}  // namespace

std::vector<Complaint> check(const Config& config, const Surroundings& surroundings) {
  return Checker(config, surroundings).run();
}

}  // namespace knockd
