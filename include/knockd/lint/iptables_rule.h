// SPDX-License-Identifier: MIT
// One rule of iptables, as far as -t must know it to tell whether another rule decides before it:
// from a command of a door, and from the lines of `iptables -S`, which have the same form.
#pragma once

#include <optional>
#include <string>

#include "knockd/lint/shell_command.h"

namespace knockd {

struct IptablesRule {
  std::string tool;  // the program's name without its folder
  std::string table = "filter";
  std::string chain;
  bool appended = false;  // behind all rules of the chain; else in front of them
  std::string target;     // ACCEPT, DROP ...
  // Empty: any.
  std::string protocol;
  std::string port;       // of the destination
  std::string interface;  // where packets come in
  bool narrow = false;    // only for some of these packets: those of one address, one limit ...
};

// The rule that this command appends or inserts; nothing for any other command.
std::optional<IptablesRule> iptables_rule_of(const Words& words);

// Whether `rule` drops or refuses new connections that `wanted`, behind it in one chain, accepts.
// Sure if true; a rule that is narrow is taken to leave them alone.
bool shuts_out(const IptablesRule& rule, const IptablesRule& wanted);

}  // namespace knockd
