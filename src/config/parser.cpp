// SPDX-License-Identifier: MIT
// A line is a comment, a [section] or a directive. Directives stand in one table (see
// Parser::directives) that says how each is called, where it may stand, what form its value has and
// who reads it; everything else here is the way of a line to its row. tests/data/config holds the
// files, good and bad, that pin down what is accepted and what is said.
#include "knockd/config/parser.h"

#include <string.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/base/nearest_word.h"
#include "knockd/base/text.h"
#include "knockd/config/one_time_file.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

constexpr size_t kMaxNameLength = 200;    // bytes; names go to logs and the environment
constexpr size_t kMaxIncludeDepth = 8;    // files that include each other
constexpr size_t kMaxFiles = 1000;        // against patterns that match far too much
constexpr size_t kMaxComplaints = 1000;   // a file with more is none of ours
constexpr int64_t kMaxSeconds = 2147483;  // 24 days: what fits in 32 bits of milliseconds

enum class Section : uint8_t {
  kNone,
  kOptions,
  kDoor,
  kFaulty,  // its header was refused: its lines are looked at all the same
};

enum class Scope : uint8_t { kOptions, kDoor };

enum class Form : uint8_t {
  kText,              // a comment may follow
  kCommand,           // goes to the shell as it stands
  kCommandOrNothing,  // the same; empty: nothing is run
  kSwitch,            // may go without "= yes"
};

class Parser;

struct Value {
  std::string_view key;   // as the user wrote it
  std::string_view text;  // as `form` says: without its comment, or as it stands
  Place place;            // of the text
  std::string_view expects;
};

struct Directive {
  std::string_view name;
  std::string_view alias;  // empty: none
  Scope scope;
  Form form;
  std::string_view expects;  // what a value must be, for "expected ..."
  void (*read)(Parser& parser, const Value& value);
};

bool is_pattern(std::string_view path) { return path.find_first_of("*?[") != path.npos; }

// `path` as seen from the folder of `file`.
std::string beside(const std::string& file, std::string_view path) {
  const size_t slash = file.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return std::string(path);
  return file.substr(0, slash + 1) + std::string(path);
}

class Parser {
 public:
  explicit Parser(ConfigFiles& files) : files_(files) {}

  // Reads the main file.
  Result<Config, ConfigError> parse(std::string_view text, const std::string& name) {
    config_.file = name;
    read_text(text, name);
    if (!errors_.empty()) {
      // A door without a sequence is found at its end but stands at its beginning.
      sort_by_place(errors_, config_.files);
      return ConfigError{std::move(errors_), std::move(config_)};
    }
    return std::move(config_);
  }

 private:
  struct Source {
    std::string file;
    int line_number = 0;
    std::string_view line;
  };

  static std::span<const Directive> directives();
  static const Directive* find_directive(std::string_view key);
  static std::string advice_on(std::string_view key);

  // The text in lines.
  void read_text(std::string_view text, const std::string& name);
  void read_line();
  void begin_section(std::string_view text);
  void end_door();
  void read_directive(std::string_view text);
  void read_value(const Directive& directive, std::string_view key, std::string_view raw);
  void note_place(const Directive& directive, std::string_view key);

  // The values.
  void read_fault(const Value& value, const TextFault& fault);
  void read_number(const Value& value, uint64_t least, uint64_t most, uint32_t& result);
  void read_time(const Value& value, int64_t least, Duration& result);
  void read_path(const Value& value, std::string& result);
  void read_switch(const Value& value, bool& result);
  void read_interfaces(const Value& value);
  void read_state_file(const Value& value);
  void read_shutdown(const Value& value);
  void read_reknock(const Value& value);
  void read_sequence(const Value& value);
  void read_one_time_sequences(const Value& value);
  void read_tcp_flags(const Value& value);
  void read_target(const Value& value);
  void read_include(const Value& value);
  void include_file(const Value& value, const std::string& path);

  // Where, and what is wrong there.
  Place place_of(std::string_view part) const;
  void error(Place place, std::string message);
  void unexpected(const Value& value);
  void remark(Place place, std::string message);

  ConfigFiles& files_;
  Config config_;
  std::vector<Complaint> errors_;
  std::vector<Source> sources_;  // the file being read, behind those that include it
  Section section_ = Section::kNone;
  size_t rules_ = 0;  // that the doors so far take in a tracker, see DoorRules
  Door door_;         // of kDoor and kFaulty
};

// ---------------------------------------------------------------------------------------------
// The table

std::span<const Directive> Parser::directives() {
  using enum Scope;
  using enum Form;
  using V = const Value&;
  static constexpr std::string_view kTime = "a time like 90, 90s, 10m, 1h or 2d, 1 to 2147483 s";
  static constexpr std::string_view kTimeOrNone =
      "a time like 90, 90s, 10m, 1h or 2d, 0 to 2147483 s";
  static constexpr std::string_view kAPath = "a path";
  static constexpr std::string_view kACommand = "a command for /bin/sh";
  static constexpr Directive kDirectives[] = {
      {"UseSyslog", "", kOptions, kSwitch, "yes or no",
       [](Parser& p, V v) { p.read_switch(v, p.config_.use_syslog); }},
      {"LogFile", "", kOptions, kText, kAPath,
       [](Parser& p, V v) { p.read_path(v, p.config_.log_file); }},
      {"PidFile", "", kOptions, kText, kAPath,
       [](Parser& p, V v) { p.read_path(v, p.config_.pid_file); }},
      {"Interface", "", kOptions, kText, "a list of interfaces like eth0,ppp0",
       [](Parser& p, V v) { p.read_interfaces(v); }},
      {"Include", "", kOptions, kText, "a path or a pattern like /etc/knockd.d/*.conf",
       [](Parser& p, V v) { p.read_include(v); }},
      {"On_Start", "", kOptions, kCommand, kACommand,
       [](Parser& p, V v) { p.config_.on_start = v.text; }},
      {"On_Stop", "", kOptions, kCommand, kACommand,
       [](Parser& p, V v) { p.config_.on_stop = v.text; }},
      {"StateFile", "", kOptions, kText, "a path or none",
       [](Parser& p, V v) { p.read_state_file(v); }},
      {"Shutdown", "", kOptions, kText, "close or keep",
       [](Parser& p, V v) { p.read_shutdown(v); }},
      {"Scan_Limit", "", kOptions, kText, "a number of ports from 0 to 64",
       [](Parser& p, V v) { p.read_number(v, 0, 64, p.config_.scan_limit); }},
      {"Max_Sources", "", kOptions, kText, "a number from 16 to 4194304",
       [](Parser& p, V v) { p.read_number(v, 16, 4194304, p.config_.max_sources); }},
      {"Log_Rate", "", kOptions, kText, "a number of lines from 0 to 1000000",
       [](Parser& p, V v) { p.read_number(v, 0, 1000000, p.config_.log_rate); }},

      {"Sequence", "", kDoor, kText, "a list of ports like 7000,8000:udp,9000",
       [](Parser& p, V v) { p.read_sequence(v); }},
      {"One_Time_Sequences", "", kDoor, kText, kAPath,
       [](Parser& p, V v) { p.read_one_time_sequences(v); }},
      {"Seq_Timeout", "Timeout", kDoor, kText, kTime,
       [](Parser& p, V v) { p.read_time(v, 1, p.door_.rule.seq_timeout); }},
      {"TCPFlags", "", kDoor, kText, "a list of flags like syn,!ack",
       [](Parser& p, V v) { p.read_tcp_flags(v); }},
      {"Target", "", kDoor, kText, "an IPv4 or IPv6 address",
       [](Parser& p, V v) { p.read_target(v); }},
      {"Start_Command", "Command", kDoor, kCommand, kACommand,
       [](Parser& p, V v) { p.door_.start_command = v.text; }},
      {"Stop_Command", "", kDoor, kCommand, kACommand,
       [](Parser& p, V v) { p.door_.stop_command = v.text; }},
      {"Start_Command_6", "Command_6", kDoor, kCommandOrNothing, kACommand,
       [](Parser& p, V v) { p.door_.start_command_6 = v.text; }},
      {"Stop_Command_6", "", kDoor, kCommandOrNothing, kACommand,
       [](Parser& p, V v) { p.door_.stop_command_6 = v.text; }},
      {"Cmd_Timeout", "Open_For", kDoor, kText, kTimeOrNone,
       [](Parser& p, V v) { p.read_time(v, 0, p.door_.cmd_timeout); }},
      {"Seq_Cooldown", "Cooldown", kDoor, kText, kTimeOrNone,
       [](Parser& p, V v) { p.read_time(v, 0, p.door_.rule.seq_cooldown); }},
      {"Max_Open", "", kDoor, kText, "a number of openings from 1 to 1000000",
       [](Parser& p, V v) { p.read_number(v, 1, 1000000, p.door_.max_open); }},
      {"Reknock", "", kDoor, kText, "run, extend or ignore",
       [](Parser& p, V v) { p.read_reknock(v); }},
  };
  return kDirectives;
}

const Directive* Parser::find_directive(std::string_view key) {
  for (const Directive& directive : directives()) {
    if (equals_ignoring_case(directive.name, key)) return &directive;
    if (!directive.alias.empty() && equals_ignoring_case(directive.alias, key)) return &directive;
  }
  return nullptr;
}

// What to say of a key that is none: the nearest one, if it is near enough for a slip of the hand.
std::string Parser::advice_on(std::string_view key) {
  std::vector<std::string_view> keys;
  for (const Directive& directive : directives()) {
    keys.push_back(directive.name);
    keys.push_back(directive.alias);
  }
  const std::string_view nearest = nearest_word(key, keys);
  if (nearest.empty()) return "expected \"Key = value\", [NAME] or a comment";
  return "did you mean " + std::string(nearest) + "?";
}

// ---------------------------------------------------------------------------------------------
// Lines

void Parser::read_text(std::string_view text, const std::string& name) {
  const Section outer = std::exchange(section_, Section::kNone);
  config_.files.push_back(name);
  sources_.push_back({name, 0, {}});
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    error({name, 1, 1}, "text in UTF-16: expected ASCII or UTF-8");
    text = {};
  }
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    ++sources_.back().line_number;
    sources_.back().line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    read_line();
  }
  end_door();
  sources_.pop_back();
  section_ = outer;
}

void Parser::read_line() {
  const std::string_view text = trim(sources_.back().line);
  if (text.empty() || text.front() == '#') return;
  if (text.front() == '[') {
    begin_section(text);
  } else {
    read_directive(text);
  }
}

void Parser::begin_section(std::string_view text) {
  end_door();
  section_ = Section::kFaulty;
  const Place place = place_of(text);
  const size_t end = find_closing_bracket(text);
  const std::string_view name =
      end == text.npos ? without_comment(text.substr(1)) : trim(text.substr(1, end - 1));
  const bool is_options = equals_ignoring_case(name, "options");
  if (is_options) section_ = Section::kOptions;
  if (end == text.npos) {
    return error(place, "section " + in_quotes(text) + ": expected ] at its end");
  }
  if (is_options) return;
  if (name.empty()) return error(place, "section " + in_quotes(text) + ": expected a name in it");
  if (name.size() > kMaxNameLength) {
    return error(place, format("section %s: expected a name of at most %zu bytes",
                               in_quotes(text).c_str(), kMaxNameLength));
  }
  if (find_control_byte(name) != name.npos) {
    return error(place, "section " + in_quotes(text) + ": expected a name without control bytes");
  }
  if (config_.doors.size() == kMaxDoors) {
    return error(place, format("section %s: expected at most %zu doors", in_quotes(text).c_str(),
                               kMaxDoors));
  }
  section_ = Section::kDoor;
  door_.name = name;
  door_.place = place;
}

// Looks at the door as a whole, now that all of it has been read.
void Parser::end_door() {
  Door door = std::exchange(door_, Door{});
  if (section_ != Section::kDoor) return;
  const auto fixed = door.places.find("Sequence");
  const auto one_time = door.places.find("One_Time_Sequences");
  if (fixed == door.places.end() && one_time == door.places.end()) {
    error(door.place, "door " + in_quotes(door.name) +
                          " has no sequence: expected Sequence or One_Time_Sequences");
  } else if (fixed != door.places.end() && one_time != door.places.end()) {
    error(one_time->second, "door " + in_quotes(door.name) +
                                ": expected either Sequence or One_Time_Sequences, not both");
  }
  rules_ += door.one_time_file.empty() ? 1 : kSequencesInForce;
  if (rules_ > kMaxDoors) {
    return error(door.place, format("door %s: expected at most %zu sequences in force",
                                    in_quotes(door.name).c_str(), kMaxDoors));
  }
  config_.doors.push_back(std::move(door));
}

void Parser::read_directive(std::string_view text) {
  size_t equals = text.find('=');
  const std::string_view before = text.substr(0, equals);
  std::string_view key = without_comment(before);
  if (key.size() != trim(before).size()) equals = text.npos;  // it stands in a comment
  if (section_ == Section::kNone) {
    return error(place_of(text), "directive " + in_quotes(key) +
                                     " outside a section: expected [options] or [NAME] before it");
  }
  const std::string_view word = key.substr(0, key.find_first_of(" \t"));
  const Directive* const directive = find_directive(equals == text.npos ? word : key);
  if (directive == nullptr) {
    return error(place_of(text), "unknown directive " + in_quotes(key) + ": " +
                                     advice_on(equals == text.npos ? word : key));
  }
  const Scope scope = section_ == Section::kOptions ? Scope::kOptions : Scope::kDoor;
  if (directive->scope != scope && section_ != Section::kFaulty) {
    return error(place_of(text),
                 "directive " + in_quotes(key) +
                     (scope == Scope::kDoor ? " in a door: expected it in [options]"
                                            : " in [options]: expected it in a door"));
  }
  note_place(*directive, key);
  const bool stands_alone = directive->form == Form::kSwitch && word.size() == key.size();
  if (equals == text.npos && !stands_alone) {
    return error(place_of(text), std::string(word) + ": missing value: expected = and " +
                                     std::string(directive->expects));
  }
  if (equals == text.npos) {
    directive->read(*this, {key, "yes", place_of(key), directive->expects});
  } else {
    read_value(*directive, key, text.substr(equals + 1));
  }
}

// `raw` is all that follows the '='.
void Parser::read_value(const Directive& directive, std::string_view key, std::string_view raw) {
  const bool is_command =
      directive.form == Form::kCommand || directive.form == Form::kCommandOrNothing;
  const std::string_view text = is_command ? trim(raw) : without_comment(raw);
  if (text.empty() && directive.form != Form::kCommandOrNothing) {
    return error(place_of(key),
                 std::string(key) + ": missing value: expected " + std::string(directive.expects));
  }
  const Value value{key, text, place_of(text.empty() ? key : text), directive.expects};
  if (const size_t at = text.find('\0'); is_command && at != text.npos) {
    return error(place_of(text.substr(at)),
                 std::string(key) + ": a NUL byte: expected a command for /bin/sh");
  }
  directive.read(*this, value);
}

void Parser::note_place(const Directive& directive, std::string_view key) {
  Places& places = directive.scope == Scope::kOptions ? config_.places : door_.places;
  const auto [found, is_first] = places.try_emplace(directive.name, place_of(key));
  if (is_first) return;
  const Place earlier = std::exchange(found->second, place_of(key));
  if (directive.name == "Include") return;
  const bool same_file = earlier.file == found->second.file;
  remark(found->second,
         format("%s is given again: this one counts, not that of %s%sline %d",
                std::string(key).c_str(), same_file ? "" : printable(earlier.file).c_str(),
                same_file ? "" : ", ", earlier.line));
}

// ---------------------------------------------------------------------------------------------
// Values

void Parser::read_fault(const Value& value, const TextFault& fault) {
  Place place = value.place;
  place.column += static_cast<int>(fault.offset);
  error(place, fault.message);
}

void Parser::read_number(const Value& value, uint64_t least, uint64_t most, uint32_t& result) {
  const auto number = parse_number(value.text, most);
  if (!number || *number < least) return unexpected(value);
  result = static_cast<uint32_t>(*number);
}

void Parser::read_time(const Value& value, int64_t least, Duration& result) {
  const auto time = parse_time(value.text, std::chrono::seconds(kMaxSeconds));
  if (!time || *time < std::chrono::seconds(least)) return unexpected(value);
  result = *time;
}

void Parser::read_path(const Value& value, std::string& result) {
  if (find_control_byte(value.text) != value.text.npos) {
    return error(value.place, std::string(value.key) + ' ' + in_quotes(value.text) +
                                  ": expected a path without control bytes");
  }
  result = value.text;
}

void Parser::read_switch(const Value& value, bool& result) {
  const bool is_yes = equals_ignoring_case(value.text, "yes");
  if (!is_yes && !equals_ignoring_case(value.text, "no")) return unexpected(value);
  result = is_yes;
}

void Parser::read_interfaces(const Value& value) {
  auto result = parse_interface_list(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(value, *fault);
  auto& list = std::get<InterfaceList>(result);
  for (const TextFault& left_out : list.remarks) {
    Place place = value.place;
    place.column += static_cast<int>(left_out.offset);
    remark(place, left_out.message);
  }
  config_.interfaces = std::move(list.names);
}

void Parser::read_state_file(const Value& value) {
  if (equals_ignoring_case(value.text, "none")) {
    config_.state_file.clear();
  } else {
    read_path(value, config_.state_file);
  }
}

void Parser::read_shutdown(const Value& value) {
  if (equals_ignoring_case(value.text, "close")) {
    config_.shutdown = Shutdown::kClose;
  } else if (equals_ignoring_case(value.text, "keep")) {
    config_.shutdown = Shutdown::kKeep;
  } else {
    unexpected(value);
  }
}

void Parser::read_reknock(const Value& value) {
  if (equals_ignoring_case(value.text, "run")) {
    door_.reknock = Reknock::kRun;
  } else if (equals_ignoring_case(value.text, "extend")) {
    door_.reknock = Reknock::kExtend;
  } else if (equals_ignoring_case(value.text, "ignore")) {
    door_.reknock = Reknock::kIgnore;
  } else {
    unexpected(value);
  }
}

void Parser::read_sequence(const Value& value) {
  auto result = parse_sequence(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(value, *fault);
  door_.rule.sequence = std::move(std::get<Sequence>(result));
}

void Parser::read_one_time_sequences(const Value& value) {
  read_path(value, door_.one_time_file);
  if (door_.one_time_file.empty()) return;
  const auto text = files_.read(door_.one_time_file);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    return error(value.place, "one-time file " + in_quotes(value.text) +
                                  " cannot be read: " + strerror(failure->error));
  }
  auto in_force = sequences_in_force(std::get<std::string>(text));
  door_.sequences_ahead.clear();
  if (in_force.empty()) {
    // Its time comes in every list's life: no reason to keep the other doors shut.
    door_.rule.sequence.clear();
    return remark(value.place, "one-time file " + in_quotes(value.text) +
                                   " is exhausted, so the door is disabled: expected a line like "
                                   "7000,8000:udp,9000");
  }
  door_.rule.sequence = std::move(in_force.front());
  door_.sequences_ahead.assign(in_force.begin() + 1, in_force.end());
}

void Parser::read_tcp_flags(const Value& value) {
  const auto result = parse_tcp_flags(value.text);
  if (const auto* fault = std::get_if<TextFault>(&result)) return read_fault(value, *fault);
  door_.rule.flags = std::get<FlagMask>(result);
}

void Parser::read_target(const Value& value) {
  door_.rule.target = IpAddress::parse(value.text);
  if (!door_.rule.target) unexpected(value);
}

void Parser::read_include(const Value& value) {
  std::string pattern;
  read_path(value, pattern);
  if (pattern.empty()) return;
  pattern = beside(sources_.back().file, pattern);
  if (sources_.size() > kMaxIncludeDepth) {
    return error(value.place, format("files included more than %zu deep", kMaxIncludeDepth));
  }
  if (!is_pattern(pattern)) return include_file(value, pattern);
  for (const std::string& path : files_.matching(pattern)) include_file(value, path);
}

void Parser::include_file(const Value& value, const std::string& path) {
  const bool is_open = std::any_of(sources_.begin(), sources_.end(),
                                   [&](const Source& source) { return source.file == path; });
  if (is_open) return error(value.place, "file " + in_quotes(path) + " includes itself");
  if (config_.files.size() == kMaxFiles) {
    return error(value.place, format("more than %zu files are included", kMaxFiles));
  }
  const auto text = files_.read(path);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    return error(value.place,
                 "file " + in_quotes(path) + " cannot be read: " + strerror(failure->error));
  }
  read_text(std::get<std::string>(text), path);
}

// ---------------------------------------------------------------------------------------------
// Complaints

// `part` lies in the line that is being read.
Place Parser::place_of(std::string_view part) const {
  const Source& source = sources_.back();
  return {source.file, source.line_number, static_cast<int>(part.data() - source.line.data()) + 1};
}

void Parser::error(Place place, std::string message) {
  if (errors_.size() == kMaxComplaints) return;
  if (errors_.size() + 1 == kMaxComplaints) message = "too many errors: the rest is left out";
  errors_.push_back({Complaint::Severity::kError, std::move(place), std::move(message)});
}

void Parser::unexpected(const Value& value) {
  error(value.place, std::string(value.key) + ' ' + in_quotes(value.text) + ": expected " +
                         std::string(value.expects));
}

void Parser::remark(Place place, std::string message) {
  if (config_.remarks.size() == kMaxComplaints) return;
  config_.remarks.push_back({Complaint::Severity::kWarning, std::move(place), std::move(message)});
}

}  // namespace

Result<Config, ConfigError> parse_config(std::string_view text, const std::string& name,
                                         ConfigFiles& files) {
  return Parser(files).parse(text, name);
}

Result<Config, ConfigError> load_config(const std::string& path, ConfigFiles& files) {
  const auto text = files.read(path);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    ConfigError error;
    error.complaints = {{Complaint::Severity::kError, Place{path, 0, 0},
                         std::string("cannot be read: ") + strerror(failure->error)}};
    error.read.file = path;
    return error;
  }
  return parse_config(std::get<std::string>(text), path, files);
}

Result<Config, ConfigError> load_config(const std::string& path) {
  SystemFiles files;
  return load_config(path, files);
}

}  // namespace knockd
