// SPDX-License-Identifier: MIT
// Parses a shell command as far as the checks of -t need it: the programs that it names, and
// whether it adds or removes a firewall rule. It stops at complex grammar (command substitution,
// here-documents, case, functions), so its results are certain.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace knockd {

// The words of one simple command, without quotes and redirections.
using Words = std::vector<std::string>;

// The simple commands between ';', '&', '|', parentheses and newlines.
std::vector<Words> simple_commands(std::string_view command);

// The program that it runs; nothing for a builtin, or if only the shell knows it ("$TOOL").
std::optional<std::string> program_of(const Words& words);

// Whether one of the simple commands runs the program of this name, in any folder.
bool runs_program(std::string_view command, std::string_view name);

// A change of the firewall by one simple command of iptables, nft, firewall-cmd, ufw or ipset.
struct RuleChange {
  enum class Kind : uint8_t { kAdds, kRemoves };
  Kind kind = Kind::kAdds;
  bool expires = false;  // the kernel or the firewall removes it
  std::string rule;      // the same for the commands that add and remove a rule
};

std::optional<RuleChange> rule_change_of(const Words& words);

}  // namespace knockd
