// SPDX-License-Identifier: MIT
#include "knockd/config/directives.h"

#include <vector>

#include "knockd/base/nearest_word.h"
#include "knockd/base/text.h"
#include "knockd/config/fix.h"
#include "knockd/config/lookalike.h"
#include "knockd/config/odd_value.h"
#include "knockd/config/value_readers.h"

namespace knockd {
namespace {

constexpr size_t kLongestKey = 32;  // a longer one is no typing error

using enum Directive::Scope;
using enum Directive::Form;
using V = const Value&;

constexpr std::string_view kTime = "a time like 90, 90s, 10m, 1h or 2d, 1 to 2147483 s";
constexpr std::string_view kTimeOrNone = "a time like 90, 90s, 10m, 1h or 2d, 0 to 2147483 s";
constexpr std::string_view kAPath = "a path";
constexpr std::string_view kASet = "family, table and set of nftables, like inet filter allowed";
constexpr std::string_view kACommand = "a command for /bin/sh";

constexpr Directive kDirectives[] = {
    {"UseSyslog", "", kOptions, kSwitch, "yes or no",
     [](Draft& d, V v) { read_switch(d, v, d.config.use_syslog); }},
    {"LogFile", "", kOptions, kText, kAPath,
     [](Draft& d, V v) { read_file_name(d, v, d.config.log_file); }},
    {"PidFile", "", kOptions, kText, kAPath,
     [](Draft& d, V v) { read_file_name(d, v, d.config.pid_file); }},
    {"Interface", "", kOptions, kText, "a list of interfaces like eth0,ppp0", read_interfaces},
    {"Include", "", kOptions, kText, "a path or a pattern like /etc/knockd.d/*.conf", nullptr},
    {"On_Start", "", kOptions, kCommand, kACommand,
     [](Draft& d, V v) { d.config.on_start = v.text; }},
    {"On_Stop", "", kOptions, kCommand, kACommand,
     [](Draft& d, V v) { d.config.on_stop = v.text; }},
    {"StateFile", "", kOptions, kText, "a path or none", read_state_file},
    {"Control", "", kOptions, kText, "a path or none", read_control},
    {"Control_Group", "", kOptions, kText, "the name of a group", read_control_group},
    {"Shutdown", "", kOptions, kText, "close or keep", read_shutdown},
    {"Scan_Limit", "", kOptions, kText, "a number of ports from 0 to 64",
     [](Draft& d, V v) { read_number(d, v, 0, 64, d.config.bounds.scan_limit); }},
    {"Max_Sources", "", kOptions, kText, "a number from 16 to 4194304",
     [](Draft& d, V v) { read_number(d, v, 16, 4194304, d.config.bounds.max_sources); }},
    {"Log_Rate", "", kOptions, kText, "a number of lines from 0 to 1000000",
     [](Draft& d, V v) { read_number(d, v, 0, 1000000, d.config.bounds.log_rate); }},
    {"Open_Set", "", kOptions, kText, kASet,
     [](Draft& d, V v) { read_set(d, v, d.config.open_set); }},
    {"Open_Set_6", "", kOptions, kText, kASet,
     [](Draft& d, V v) { read_set(d, v, d.config.open_set_6); }},
    {"Table", "", kOptions, kText, "the name of a table of nftables, like knockd", read_table},

    {"Sequence", "", kDoor, kText, "a list of ports like 7000,8000:udp,9000", read_sequence},
    {"One_Time_Sequences", "", kDoor, kText, kAPath, read_one_time_sequences},
    {"Secrets", "", kDoor, kText, kAPath, read_secrets},
    {"Seq_Timeout", "Timeout", kDoor, kText, kTime,
     [](Draft& d, V v) { read_time(d, v, 1, d.door.rule.seq_timeout); }},
    {"TCPFlags", "", kDoor, kText, "a list of flags like syn,!ack", read_tcp_flags},
    {"Target", "", kDoor, kText, "an IPv4 or IPv6 address", read_target},
    {"Start_Command", "Command", kDoor, kCommand, kACommand,
     [](Draft& d, V v) { d.door.start_command = v.text; }},
    {"Stop_Command", "", kDoor, kCommand, kACommand,
     [](Draft& d, V v) { d.door.stop_command = v.text; }},
    {"Start_Command_6", "Command_6", kDoor, kCommandOrNothing, kACommand,
     [](Draft& d, V v) { d.door.start_command_6 = v.text; }},
    {"Stop_Command_6", "", kDoor, kCommandOrNothing, kACommand,
     [](Draft& d, V v) { d.door.stop_command_6 = v.text; }},
    {"Cmd_Timeout", "Open_For", kDoor, kText, kTimeOrNone,
     [](Draft& d, V v) { read_time(d, v, 0, d.door.cmd_timeout); }},
    {"Seq_Cooldown", "Cooldown", kDoor, kText, kTimeOrNone,
     [](Draft& d, V v) { read_time(d, v, 0, d.door.rule.seq_cooldown); }},
    {"Open", "", kDoor, kText, "a list of ports to open, like 22,51820:udp", read_open},
    {"Open_Set", "", kDoor, kText, kASet, [](Draft& d, V v) { read_set(d, v, d.door.open_set); }},
    {"Open_Set_6", "", kDoor, kText, kASet,
     [](Draft& d, V v) { read_set(d, v, d.door.open_set_6); }},
    {"Open_Prefix", "", kDoor, kText, "prefix lengths for IPv4 and IPv6, like 24 64",
     read_prefixes},
    {"Keep_Established", "", kDoor, kText, "yes or no",
     [](Draft& d, V v) { read_switch(d, v, d.door.keep_established); }},
    {"Max_Open", "", kDoor, kText, "a number of openings from 1 to 1000000",
     [](Draft& d, V v) { read_number(d, v, 1, 1000000, d.door.max_open); }},
    {"Reknock", "", kDoor, kText, "run, extend or ignore", read_reknock},
};

// A key without separators between its words and without enclosing characters.
std::string letters_of(std::string_view key) {
  constexpr std::string_view kBetween = " \t_-\"'";
  std::string letters;
  for (const char c : key) {
    if (kBetween.find(c) == kBetween.npos) letters += c;
  }
  return letters;
}

}  // namespace

const Directive* find_directive(std::string_view key, Directive::Scope scope) {
  const Directive* found = nullptr;
  for (const Directive& directive : kDirectives) {
    const bool is_alias = !directive.alias.empty() && equals_ignoring_case(directive.alias, key);
    if (!is_alias && !equals_ignoring_case(directive.name, key)) continue;
    if (found == nullptr || directive.scope == scope) found = &directive;
  }
  return found;
}

std::string_view nearest_key(std::string_view key) {
  if (key.size() > kLongestKey) return {};
  const std::string letters = letters_of(key);
  std::vector<std::string_view> keys;
  for (const Directive& directive : kDirectives) {
    for (const std::string_view name : {directive.name, directive.alias}) {
      if (!name.empty() && equals_ignoring_case(letters_of(name), letters)) return name;
      keys.push_back(name);
    }
  }
  return nearest_word(key, keys);
}

std::string advice_on(std::string_view key) {
  const std::string_view nearest = nearest_key(key);
  if (nearest.empty()) return "expected \"Key = value\", [NAME] or a comment";
  return "did you mean " + std::string(nearest) + "?";
}

void read_value(Draft& draft, const Directive& directive, const Value& value) {
  const size_t errors = draft.errors.size();
  directive.read(draft, value);
  if (draft.errors.size() == errors) return remark_on_value(draft, value);
  if (draft.errors.size() == Draft::kMostComplaints) return;
  Complaint& error = draft.errors.back();
  if (const auto lookalike = find_lookalike(value.text)) {
    error.message += "; it has " + lookalike->name;
  }
  if (errors < kMostFixes) error.write = fixed_assignment(directive, value, draft.files);
}

}  // namespace knockd
