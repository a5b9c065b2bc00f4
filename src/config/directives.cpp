// SPDX-License-Identifier: MIT
#include "knockd/config/directives.h"

#include <string.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "knockd/base/nearest_word.h"
#include "knockd/base/text.h"
#include "knockd/config/fix.h"
#include "knockd/config/lookalike.h"
#include "knockd/config/odd_value.h"
#include "knockd/config/one_time_file.h"
#include "knockd/config/values.h"
#include "knockd/knock/nft_name.h"

namespace knockd {
namespace {

constexpr size_t kMaxComplaints = 1000;  // a file with more is none of ours
constexpr size_t kLongestKey = 32;       // a longer one is no slip of the hand

void unexpected(Draft& draft, const Value& value) {
  draft.error(value.place, std::string(value.key) + ' ' + in_quotes(value.text) + ": expected " +
                               std::string(value.expects));
}

void read_fault(Draft& draft, const Value& value, const TextFault& fault) {
  Place place = value.place;
  place.column += static_cast<int>(fault.offset);
  draft.error(place, fault.message);
}

void read_number(Draft& draft, const Value& value, uint64_t least, uint64_t most,
                 uint32_t& result) {
  const auto number = parse_number(value.text, most);
  if (!number || *number < least) return unexpected(draft, value);
  result = static_cast<uint32_t>(*number);
}

void read_time(Draft& draft, const Value& value, int64_t least, Duration& result) {
  const auto time = parse_time(value.text, kLongestTime);
  if (!time || *time < std::chrono::seconds(least)) return unexpected(draft, value);
  result = *time;
}

void read_switch(Draft& draft, const Value& value, bool& result) {
  const bool is_yes = equals_ignoring_case(value.text, "yes");
  if (!is_yes && !equals_ignoring_case(value.text, "no")) return unexpected(draft, value);
  result = is_yes;
}

void read_interfaces(Draft& draft, const Value& value) {
  auto result = parse_interface_list(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  auto& list = std::get<InterfaceList>(result);
  for (const TextFault& left_out : list.remarks) {
    Place place = value.place;
    place.column += static_cast<int>(left_out.offset);
    draft.remark(place, left_out.message);
  }
  draft.config.interfaces = std::move(list.names);
}

// The path of a file that the daemon uses later, when it may have left its working directory.
bool read_file_name(Draft& draft, const Value& value, std::string& result) {
  std::string path;
  if (!read_path(draft, value, path)) return false;
  result = draft.files.path_of(path);
  return true;
}

void read_state_file(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "none")) {
    draft.config.state_file.clear();
  } else {
    read_file_name(draft, value, draft.config.state_file);
  }
}

void read_control(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "none")) {
    draft.config.control = "";
  } else if (std::string path; read_file_name(draft, value, path)) {
    draft.config.control = std::move(path);
  }
}

void read_control_group(Draft& draft, const Value& value) {
  const bool is_name = !value.text.empty() && find_control_byte(value.text) == value.text.npos &&
                       value.text.find_first_of(": ,") == value.text.npos;
  if (!is_name) return unexpected(draft, value);
  draft.config.control_group = value.text;
}

void read_shutdown(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "close")) {
    draft.config.shutdown = Shutdown::kClose;
  } else if (equals_ignoring_case(value.text, "keep")) {
    draft.config.shutdown = Shutdown::kKeep;
  } else {
    unexpected(draft, value);
  }
}

void read_reknock(Draft& draft, const Value& value) {
  if (equals_ignoring_case(value.text, "run")) {
    draft.door.reknock = Reknock::kRun;
  } else if (equals_ignoring_case(value.text, "extend")) {
    draft.door.reknock = Reknock::kExtend;
  } else if (equals_ignoring_case(value.text, "ignore")) {
    draft.door.reknock = Reknock::kIgnore;
  } else {
    unexpected(draft, value);
  }
}

void read_sequence(Draft& draft, const Value& value) {
  auto result = parse_coded_sequence(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  auto& [sequence, places] = std::get<CodedSequence>(result);
  draft.door.rule.sequence = std::move(sequence);
  draft.door.rule.places = places;
}

// What is wrong in the file stands there, without the line: that is never shown.
void read_secrets(Draft& draft, const Value& value) {
  std::string& file = draft.door.secrets_file;
  draft.door.users.clear();
  if (!read_file_name(draft, value, file)) return;
  auto text = draft.files.read_secrets(file);
  if (!text) {
    return draft.error(value.place, "file " + in_quotes(file) + ": " + text.error().text);
  }
  auto result = parse_secrets(*text);
  wipe(*text);
  if (const auto* fault = std::get_if<SecretsFault>(&result)) {
    return draft.error({file, fault->line, 0, true}, fault->message);
  }
  draft.door.users = std::move(std::get<std::vector<User>>(result));
}

void read_one_time_sequences(Draft& draft, const Value& value) {
  if (!read_file_name(draft, value, draft.door.one_time_file)) return;
  const auto text = draft.files.read(draft.door.one_time_file);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    return draft.error(value.place, "one-time file " + in_quotes(value.text) +
                                        " cannot be read: " + strerror(failure->error));
  }
  auto in_force = sequences_in_force(std::get<std::string>(text));
  draft.door.sequences_ahead.clear();
  if (in_force.empty()) {
    // Its time comes in every list's life: no reason to keep the other doors shut.
    draft.door.rule.sequence.clear();
    return draft.remark(value.place,
                        "one-time file " + in_quotes(value.text) +
                            " is exhausted, so the door is disabled: expected a line like "
                            "7000,8000:udp,9000");
  }
  draft.door.rule.sequence = std::move(in_force.front());
  draft.door.sequences_ahead.assign(in_force.begin() + 1, in_force.end());
}

void read_tcp_flags(Draft& draft, const Value& value) {
  const auto result = parse_tcp_flags(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  draft.door.rule.flags = std::get<FlagMask>(result);
}

void read_target(Draft& draft, const Value& value) {
  draft.door.rule.target = IpAddress::parse(value.text);
  if (!draft.door.rule.target) unexpected(draft, value);
}

void read_open(Draft& draft, const Value& value) {
  auto result = parse_sequence(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(draft, value, *fault);
  std::vector<Knock>& open = draft.door.open;
  open.clear();
  for (const Knock& port : std::get<Sequence>(result)) {
    if (std::ranges::find(open, port) == open.end()) open.push_back(port);
  }
}

// A name that nft(8) would not take as one is an error of its own.
bool is_free(Draft& draft, const Value& value, std::string_view name) {
  if (!is_nft_word(name)) return true;
  draft.error(value.place, std::string(value.key) + ": " + in_quotes(name) +
                               " is a word of nft's language, expected another name");
  return false;
}

void read_set(Draft& draft, const Value& value, std::optional<SetName>& result) {
  const std::vector<std::string_view> words = split_words(value.text);
  if (words.size() == 3 && !(is_free(draft, value, words[1]) && is_free(draft, value, words[2]))) {
    return;
  }
  result = parse_set_name(value.text);
  if (!result) unexpected(draft, value);
}

void read_table(Draft& draft, const Value& value) {
  // Its files have that name, too.
  constexpr size_t kMostLength = 200;
  if (!is_free(draft, value, value.text)) return;
  if (!is_nft_name(value.text) || value.text.find('/') != value.text.npos ||
      value.text.size() > kMostLength) {
    return unexpected(draft, value);
  }
  draft.config.table = value.text;
}

void read_prefixes(Draft& draft, const Value& value) {
  const size_t blank = std::min(value.text.find_first_of(" \t"), value.text.size());
  const auto v4 = parse_number(value.text.substr(0, blank), 32);
  const auto v6 = parse_number(trim(value.text.substr(blank)), 128);
  if (!v4 || *v4 == 0 || !v6 || *v6 == 0) return unexpected(draft, value);
  draft.door.prefix_v4 = static_cast<uint8_t>(kMappedBits + *v4);
  draft.door.prefix_v6 = static_cast<uint8_t>(*v6);
}

// What is left of a key without what may stand between its words, and what encloses it.
std::string letters_of(std::string_view key) {
  constexpr std::string_view kBetween = " \t_-\"'";
  std::string letters;
  for (const char c : key) {
    if (kBetween.find(c) == kBetween.npos) letters += c;
  }
  return letters;
}

std::span<const Directive> directives() {
  using enum Directive::Scope;
  using enum Directive::Form;
  using V = const Value&;
  static constexpr std::string_view kTime = "a time like 90, 90s, 10m, 1h or 2d, 1 to 2147483 s";
  static constexpr std::string_view kTimeOrNone =
      "a time like 90, 90s, 10m, 1h or 2d, 0 to 2147483 s";
  static constexpr std::string_view kAPath = "a path";
  static constexpr std::string_view kASet =
      "family, table and set of nftables, like inet filter allowed";
  static constexpr std::string_view kACommand = "a command for /bin/sh";
  static constexpr Directive kDirectives[] = {
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
  return kDirectives;
}

}  // namespace

const Directive* find_directive(std::string_view key, Directive::Scope scope) {
  const Directive* found = nullptr;
  for (const Directive& directive : directives()) {
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
  for (const Directive& directive : directives()) {
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
  if (draft.errors.size() == kMaxComplaints) return;
  Complaint& error = draft.errors.back();
  if (const auto lookalike = find_lookalike(value.text)) {
    error.message += "; it has " + lookalike->name;
  }
  if (errors < kMostFixes) error.write = fixed_assignment(directive, value, draft.files);
}

bool read_path(Draft& draft, const Value& value, std::string& result) {
  if (find_control_byte(value.text) != value.text.npos) {
    draft.error(value.place, std::string(value.key) + ' ' + in_quotes(value.text) +
                                 ": expected a path without control bytes");
    return false;
  }
  result = value.text;
  return true;
}

void Draft::error(Place place, std::string message, std::string write) {
  if (errors.size() == kMaxComplaints) return;
  if (errors.size() + 1 == kMaxComplaints) {
    message = "too many errors: the rest is left out";
    write.clear();
  }
  errors.push_back(
      {Complaint::Severity::kError, std::move(place), std::move(message), std::move(write)});
}

void Draft::remark(Place place, std::string message, std::string write) {
  if (config.remarks.size() == kMaxComplaints) return;
  config.remarks.push_back(
      {Complaint::Severity::kWarning, std::move(place), std::move(message), std::move(write)});
}

}  // namespace knockd
