// SPDX-License-Identifier: MIT
#include "knockd/lint/firewall_check.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/lint/iptables_rule.h"
#include "knockd/lint/shell_command.h"

namespace knockd {
namespace {

constexpr std::string_view kFirewallTool = "knockd-firewall";

// A command and its directive.
struct Named {
  const char* directive;
  std::string_view command;
};

// The start commands of a door that are present.
std::vector<Named> start_commands(const Door& door) {
  std::vector<Named> commands = {{"Start_Command", door.start_command}};
  if (door.start_command_6) commands.push_back({"Start_Command_6", *door.start_command_6});
  return commands;
}

class FirewallChecker {
 public:
  FirewallChecker(const Config& config, const Surroundings& surroundings)
      : config_(config), surroundings_(surroundings) {}

  std::vector<Complaint> run() {
    collect_rules();
    for (const Door& door : config_.doors) {
      check_rules(door);
      check_order_of_rules(door);
      check_firewall_tool(door);
    }
    return std::move(warnings_);
  }

 private:
  void warn(const Place& place, std::string message, std::string write = "") {
    warnings_.push_back(
        {Complaint::Severity::kWarning, place, std::move(message), std::move(write)});
  }

  // Rules that no command removes.

  void collect_rules() {
    collect_rules(config_.on_start);
    for (const Door& door : config_.doors) {
      for (const std::string& command :
           {door.start_command, door.stop_command, door.start_command_6.value_or(""),
            door.stop_command_6.value_or("")}) {
        collect_rules(command);
      }
    }
  }

  void collect_rules(std::string_view command) {
    for (const Words& words : simple_commands(command)) {
      const auto change = rule_change_of(words);
      if (change && change->kind == RuleChange::Kind::kRemoves) removed_.insert(change->rule);
      if (auto rule = iptables_rule_of(words)) rules_.push_back(*std::move(rule));
    }
  }

  void check_rules(const Door& door) {
    const std::string& stop_6 = door.stop_command_6 ? *door.stop_command_6 : door.stop_command;
    if (leaves_rule(door.start_command, door.stop_command) ||
        (!door.start_command_6 && leaves_rule(door.start_command, stop_6))) {
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

  // Rules after one that already decides.

  void check_order_of_rules(const Door& door) {
    for (const auto& [directive, command] : start_commands(door)) {
      for (const Words& words : simple_commands(command)) {
        const auto rule = iptables_rule_of(words);
        if (!rule || !rule->appended || rule->target != "ACCEPT" || !is_shut_out(*rule)) continue;
        warn(door.place_of(directive),
             format("%s appends a rule to %s behind one that drops what it is to accept: expected "
                    "-I in place of -A",
                    directive, printable(rule->chain).c_str()));
        break;
      }
    }
  }

  // Whether a rule of this configuration, or a present one, shuts it out.
  bool is_shut_out(const IptablesRule& wanted) const {
    const auto shuts = [&](const IptablesRule& rule) { return shuts_out(rule, wanted); };
    if (std::any_of(rules_.begin(), rules_.end(), shuts)) return true;
    if (wanted.table != "filter") return false;
    const std::string chain = surroundings_.iptables_chain(wanted.tool, wanted.chain);
    for (const std::string_view line : split(chain, '\n')) {
      const auto rule = iptables_rule_of(words_of_rule(wanted.tool, line));
      if (rule && shuts(*rule)) return true;
    }
    return false;
  }

  // A line of `iptables -S`, as the command that adds its rule.
  static Words words_of_rule(const std::string& tool, std::string_view line) {
    const auto commands = simple_commands(tool + ' ' + std::string(line));
    return commands.empty() ? Words() : commands.front();
  }

  // knockd-firewall.

  void check_firewall_tool(const Door& door) {
    const std::vector<Named> starts = start_commands(door);
    const auto found = std::find_if(starts.begin(), starts.end(), [](const Named& start) {
      return runs_program(start.command, kFirewallTool);
    });
    if (found == starts.end()) return;
    if (!has_firewall() && !std::exchange(told_of_firewall_, true)) {
      warn(door.place_of(found->directive),
           format("%s: knockd-firewall has no firewall to use here: expected nft, iptables, "
                  "firewall-cmd or uci",
                  found->directive));
    }
    const bool has_stop = !door.stop_command.empty() || !door.stop_command_6.value_or("").empty();
    if (has_stop && door.reknock == Reknock::kRun) {
      const bool is_said = door.places.contains("Reknock");
      warn(door.place_of(is_said ? "Reknock" : found->directive),
           "knockd-firewall with Reknock = run: after a second knock the first stop command shuts "
           "the port: expected Reknock = extend",
           "Reknock = extend");
    }
  }

  bool has_firewall() const {
    constexpr const char* kFirewalls[] = {"nft", "iptables", "firewall-cmd", "uci"};
    return std::any_of(std::begin(kFirewalls), std::end(kFirewalls),
                       [this](const char* program) { return surroundings_.has_program(program); });
  }

  const Config& config_;
  const Surroundings& surroundings_;
  std::vector<Complaint> warnings_;
  std::vector<IptablesRule> rules_;  // added by some command
  std::set<std::string> removed_;    // rules that some door's command removes
  bool told_of_firewall_ = false;
};

}  // namespace

std::vector<Complaint> check_firewall(const Config& config, const Surroundings& surroundings) {
  return FirewallChecker(config, surroundings).run();
}

}  // namespace knockd
