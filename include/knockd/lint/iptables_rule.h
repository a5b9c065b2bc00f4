// SPDX-License-Identifier: MIT
// One rule of iptables, as far as -t needs it to check whether an earlier rule decides: from a
// door's command, or from a line of `iptables -S`, which has the same form.
#pragma once

#include <optional>
#include <string>

#include "knockd/lint/shell_command.h"

namespace knockd {

struct IptablesRule {
  std::string tool;  // the program's name without its folder
  std::string table = "filter";
  std::string chain;
  bool appended = false;  // at the end of the chain; else at its beginning
  std::string target;     // ACCEPT, DROP ...
  // Empty: any.
  std::string protocol;
  std::string port;       // of the destination
  std::string interface;  // the input interface
  bool narrow = false;    // matches only some of these packets: one address, a limit ...
};

// The rule that this command appends or inserts; nothing for any other command.
std::optional<IptablesRule> iptables_rule_of(const Words& words);

// Whether `rule` drops or refuses new connections that `wanted`, after it in the same chain,
// accepts. True is certain; narrow rules are assumed not to match.
bool shuts_out(const IptablesRule& rule, const IptablesRule& wanted);

}  // namespace knockd
