// SPDX-License-Identifier: MIT
#include "knockd/lint/admission_check.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/config/values.h"
#include "knockd/lint/ruleset.h"
#include "knockd/lint/shell_command.h"

namespace knockd {
namespace {

class AdmissionChecker {
 public:
  AdmissionChecker(const Config& config, const Surroundings& surroundings)
      : config_(config),
        surroundings_(surroundings),
        shut_(shut_table_of(config, {}, true)),
        listed_(needs_ruleset() ? surroundings.ruleset() : std::nullopt),
        ruleset_(listed_.value_or("")) {}

  std::vector<Complaint> run() {
    check_nft();
    check_entrances();
    check_families(config_.open_set, config_.open_set_6, config_.place_of("Open_Set"),
                   config_.place_of("Open_Set_6"));
    check_set(config_.open_set, true, config_.place_of("Open_Set"), true);
    check_set(config_.open_set_6, false, config_.place_of("Open_Set_6"), true);
    for (const Door& door : config_.doors) {
      check_sets(door);
      check_chains(door);
      check_firewall_tool(door);
    }
    return std::move(warnings_);
  }

 private:
  using Set = std::optional<SetName>;

  void warn(const Place& place, std::string message) {
    warnings_.push_back({Complaint::Severity::kWarning, place, std::move(message)});
  }

  bool needs_ruleset() const {
    return !shut_.ports.empty() || config_.open_set || config_.open_set_6 ||
           std::ranges::any_of(config_.doors,
                               [](const Door& d) { return d.open_set || d.open_set_6; });
  }

  // The place of the first door whose ports knockd's own table shuts.
  Place place_of_first() const {
    const auto first = std::ranges::find_if(
        config_.doors, [&](const Door& d) { return is_in_own_table(config_, d); });
    return first->place_of("Open");
  }

  void check_nft() {
    if (shut_.ports.empty()) return;
    for (const char* const name : {"nft", "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"}) {
      if (surroundings_.has_program(name)) return;
    }
    warn(place_of_first(),
         "Open: program \"nft\" does not exist: no port can be shut, so knockd would not start");
  }

  void check_entrances() {
    if (shut_.ports.empty()) return;
    const std::vector<std::string> others = surroundings_.other_entrances();
    if (others.empty()) return;
    warn(place_of_first(), "Open: at " + printable(join(others, ", ")) +
                               " knockd does not listen, so ports stay open there: expected a "
                               "longer list in Interface, or any");
  }

  void check_chains(const Door& door) {
    if (!is_in_own_table(config_, door)) return;
    for (const Knock& port : door.open) {
      for (const std::string& chain : ruleset_.chains_that_drop(port)) {
        if (!told_.insert(to_string({port}) + chain).second) continue;
        warn(door.place_of("Open"),
             format(
                 "port %s: chain %s, which comes after knockd's own table, drops it for everyone: "
                 "expected a rule there that accepts it, or Open_Set",
                 to_string({port}).c_str(), printable(chain).c_str()));
      }
    }
  }

  void check_sets(const Door& door) {
    check_families(door.open_set, door.open_set_6, door.place_of("Open_Set"),
                   door.place_of("Open_Set_6"));
    check_set(door.open_set, true, door.place_of("Open_Set"), !door.open.empty());
    check_set(door.open_set_6, false, door.place_of("Open_Set_6"), !door.open.empty());
  }

  void check_families(const Set& v4, const Set& v6, const Place& place, const Place& place_6) {
    if (v4 && !v6) {
      warn(place, "Open_Set without Open_Set_6: nobody is let in over IPv6");
    } else if (v6 && !v4) {
      warn(place_6, "Open_Set_6 without Open_Set: nobody is let in over IPv4");
    }
  }

  void check_set(const Set& name, bool is_v4, const Place& place, bool with_ports) {
    if (!name || !listed_) return;
    const std::string expected = is_v4 ? "ipv4_addr" : "ipv6_addr";
    const auto set = ruleset_.find(*name);
    const std::string what = "set " + to_string(*name);
    const bool has_ports = set && set->type == expected + " . inet_proto . inet_service";
    if (!set) {
      warn(place, what + " does not exist");
    } else if (!set->type.empty() && set->type != expected && !has_ports) {
      warn(place,
           format("%s is of type %s: expected %s, or %s . inet_proto . inet_service", what.c_str(),
                  printable(set->type).c_str(), expected.c_str(), expected.c_str()));
    } else if (!set->is_plain) {
      warn(place, what + " is of intervals or constant: expected 'flags timeout' alone");
    } else if (!set->has_timeout) {
      warn(place, what + " has no 'flags timeout': the kernel would shut nobody out again");
    } else if (has_ports && !with_ports) {
      warn(place, what + " takes ports as well: expected Open");
    }
  }

  // The helper's rules cannot open ports that knockd's own table shuts; where an element opens
  // them, the rules are not needed.
  void check_firewall_tool(const Door& door) {
    for (const auto& [directive, command] :
         {std::pair("Start_Command", door.start_command),
          std::pair("Start_Command_6", door.start_command_6.value_or(""))}) {
      for (const Words& words : simple_commands(command)) {
        const auto program = program_of(words);
        if (!program || !("/" + *program).ends_with("/knockd-firewall")) continue;
        const auto action = std::ranges::find(words, "open-port");
        if (words.end() - action < 4) continue;
        for (auto word = action + 3; word != words.end(); ++word)
          check_port(door, directive, *word);
      }
    }
  }

  void check_port(const Door& door, const char* directive, const std::string& word) {
    const auto port = parse_sequence(word);
    const auto* const ports = std::get_if<Sequence>(&port);
    if (ports == nullptr || !shut_.has(ports->front())) return;
    warn(door.place_of(directive),
         format("%s: knockd-firewall does not open port %s, which knockd's own table shuts (Open): "
                "expected Open in place of the command",
                directive, printable(word).c_str()));
  }

  const Config& config_;
  const Surroundings& surroundings_;
  const ShutTable shut_;
  const std::optional<std::string> listed_;
  const Ruleset ruleset_;
  std::vector<Complaint> warnings_;
  std::set<std::string> told_;  // ports and chains
};

}  // namespace

std::vector<Complaint> check_admissions(const Config& config, const Surroundings& surroundings) {
  return AdmissionChecker(config, surroundings).run();
}

}  // namespace knockd
