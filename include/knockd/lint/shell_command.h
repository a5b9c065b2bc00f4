// SPDX-License-Identifier: MIT
// A shell command taken apart as far as the checks of -t need it: which programs it names, and
// whether it adds or removes a firewall rule. Not a shell: where the grammar gets deep (command
// substitution, here-documents, case, functions) it stops, so what it does say is sure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace knockd {

// The words of one simple command, quotes removed; redirections are left out.
using Words = std::vector<std::string>;

// The simple commands between ';', '&', '|', parentheses and newlines.
std::vector<Words> simple_commands(std::string_view command);

// The program that is run; nothing if it is the shell's own or only the shell can tell ("$TOOL").
std::optional<std::string> program_of(const Words& words);

// Whether the program of this name, in whatever folder, is run by one of the simple commands.
bool runs_program(std::string_view command, std::string_view name);

// What one simple command does to the firewall, as far as it is known by iptables, nft,
// firewall-cmd, ufw and ipset.
struct RuleChange {
  enum class Kind : uint8_t { kAdds, kRemoves };
  Kind kind = Kind::kAdds;
  bool expires = false;  // the kernel or the firewall takes it away by itself
  std::string rule;  // the same for the command that adds a rule and for the one that removes it
};

std::optional<RuleChange> rule_change_of(const Words& words);

}  // namespace knockd
