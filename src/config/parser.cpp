// SPDX-License-Identifier: MIT
// A line is a comment, a [section] or a directive; the parser finds the directive's row in the
// table. tests/data/config has good and bad files that specify what is accepted and the errors.
#include "knockd/config/parser.h"

#include <string.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/config/directives.h"
#include "knockd/config/fix.h"
#include "knockd/config/lookalike.h"
#include "knockd/config/odd_value.h"
#include "knockd/config/one_time_file.h"
#include "knockd/config/rewrites.h"
#include "knockd/config/value_readers.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

constexpr size_t kMaxNameLength = 200;  // bytes; names go to logs and the environment
constexpr size_t kMaxIncludeDepth = 8;  // files that include each other
constexpr size_t kMaxFiles = 1000;      // guards against patterns that match too much

enum class Section : uint8_t {
  kNone,
  kOptions,
  kDoor,
  kFaulty,  // its header was refused; its lines are checked anyway
};

bool is_pattern(std::string_view path) { return path.find_first_of("*?[") != path.npos; }

// `path` relative to the folder of `file`.
std::string beside(const std::string& file, std::string_view path) {
  const size_t slash = file.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return std::string(path);
  return file.substr(0, slash + 1) + std::string(path);
}

class Parser {
 public:
  explicit Parser(ConfigFiles& files) : draft_{files, {}, {}, {}} {}

  // Reads the main file.
  Result<Config, ConfigError> parse(std::string_view text, const std::string& name) {
    draft_.config.file = name;
    read_text(text, name);
    check_admissions(draft_);
    check_codes(draft_);
    if (!draft_.errors.empty()) {
      // A missing sequence is detected at the end of a door but reported at its beginning.
      sort_by_place(draft_.errors, draft_.config.files);
      return ConfigError{std::move(draft_.errors), std::move(draft_.config)};
    }
    return std::move(draft_.config);
  }

 private:
  struct Source {
    std::string file;
    int line_number = 0;
    std::string_view line;
  };

  // Reads the text line by line.
  void read_text(std::string_view text, const std::string& name);
  void read_line();
  void begin_section(std::string_view text);
  void end_door();
  void read_directive(std::string_view text);
  std::optional<LineFix> fix_of(std::string_view text, Directive::Scope scope);
  void refuse_line(std::string_view text, std::string_view key, std::string_view name,
                   Directive::Scope scope);
  void read_value(const Directive& directive, std::string_view key, std::string_view raw);
  void note_place(const Directive& directive, std::string_view key);
  void read_include(const Value& value);
  void include_file(const Value& value, const std::string& path);

  Place place_of(std::string_view part) const;

  Draft draft_;
  std::vector<Source> sources_;  // the file being read, after those that include it
  Section section_ = Section::kNone;
  std::string unfinished_;  // a command whose line ended with a backslash, as one line so far
  size_t rules_ = 0;        // of the doors so far in a tracker, see DoorRules
};

void Parser::read_text(std::string_view text, const std::string& name) {
  const Section outer = std::exchange(section_, Section::kNone);
  draft_.config.files.push_back(name);
  sources_.push_back({name, 0, {}});
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (is_utf16(text)) {
    draft_.error({name, 1, 1, true}, "text in UTF-16: expected ASCII or UTF-8",
                 "the text anew, as iconv -f UTF-16 -t UTF-8 prints it");
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
  unfinished_.clear();
  const Place place = place_of(text);
  const size_t end = find_closing_bracket(text);
  const std::string_view name =
      end == text.npos ? without_comment(text.substr(1)) : trim(text.substr(1, end - 1));
  const bool is_options = equals_ignoring_case(name, "options");
  if (is_options) section_ = Section::kOptions;
  if (end == text.npos) {
    return draft_.error(place, "section " + in_quotes(text) + ": expected ] at its end",
                        fixed_section(text));
  }
  if (is_options) return;
  if (name.empty())
    return draft_.error(place, "section " + in_quotes(text) + ": expected a name in it");
  if (name.size() > kMaxNameLength) {
    return draft_.error(place, format("section %s: expected a name of at most %zu bytes",
                                      in_quotes(text).c_str(), kMaxNameLength));
  }
  if (find_control_byte(name) != name.npos) {
    return draft_.error(place,
                        "section " + in_quotes(text) + ": expected a name without control bytes");
  }
  if (draft_.config.doors.size() == kMaxDoors) {
    return draft_.error(place, format("section %s: expected at most %zu doors",
                                      in_quotes(text).c_str(), kMaxDoors));
  }
  section_ = Section::kDoor;
  draft_.door.name = name;
  draft_.door.place = place;
}

// Checks the door as a whole after its last line.
void Parser::end_door() {
  Door door = std::exchange(draft_.door, Door{});
  if (section_ != Section::kDoor) return;
  const auto fixed = door.places.find("Sequence");
  const auto one_time = door.places.find("One_Time_Sequences");
  if (fixed == door.places.end() && one_time == door.places.end()) {
    draft_.error(door.place, "door " + in_quotes(door.name) +
                                 " has no sequence: expected Sequence or One_Time_Sequences");
  } else if (fixed != door.places.end() && one_time != door.places.end()) {
    draft_.error(one_time->second,
                 "door " + in_quotes(door.name) +
                     ": expected either Sequence or One_Time_Sequences, not both");
  }
  if (door.has_codes() && !door.places.contains("TCPFlags")) {
    door.rule.flags = kConnectionAttempt;
  }
  // A knock while the door is open renews its time, unless the door says otherwise.
  if (door.lets_in() && !door.places.contains("Reknock")) door.reknock = Reknock::kExtend;
  rules_ += door.one_time_file.empty() ? 1 : kSequencesInForce;
  if (rules_ > kMaxDoors) {
    return draft_.error(door.place, format("door %s: expected at most %zu sequences in force",
                                           in_quotes(door.name).c_str(), kMaxDoors));
  }
  draft_.config.doors.push_back(std::move(door));
}

void Parser::read_directive(std::string_view text) {
  size_t equals = text.find('=');
  const std::string_view before = text.substr(0, equals);
  std::string_view key = without_comment(before);
  if (key.size() != trim(before).size()) equals = text.npos;  // it is in a comment
  const std::string_view word = key.substr(0, key.find_first_of(" \t"));
  const Directive::Scope scope =
      section_ == Section::kOptions ? Directive::Scope::kOptions : Directive::Scope::kDoor;
  const Directive* const directive = find_directive(equals == text.npos ? word : key, scope);
  if (directive == nullptr) return refuse_line(text, key, equals == text.npos ? word : key, scope);
  if (section_ == Section::kNone) {
    return draft_.error(place_of(text),
                        "directive " + in_quotes(key) +
                            " outside a section: expected [options] or [NAME] before it");
  }
  if (directive->scope != scope && section_ != Section::kFaulty) {
    return draft_.error(place_of(text), "directive " + in_quotes(key) +
                                            (scope == Directive::Scope::kDoor
                                                 ? " in a door: expected it in [options]"
                                                 : " in [options]: expected it in a door"));
  }
  unfinished_.clear();
  note_place(*directive, key);
  const bool stands_alone =
      directive->form == Directive::Form::kSwitch && word.size() == key.size();
  if (equals == text.npos && !stands_alone) {
    const auto fix = fix_of(text, scope);
    return draft_.error(
        place_of(text),
        std::string(word) + ": missing value: expected = and " + std::string(directive->expects),
        fix ? fix->line : "");
  }
  if (equals == text.npos) {
    directive->read(draft_, {key, "yes", place_of(key), directive->expects});
  } else {
    read_value(*directive, key, text.substr(equals + 1));
  }
}

std::optional<LineFix> Parser::fix_of(std::string_view text, Directive::Scope scope) {
  if (draft_.errors.size() >= kMostFixes) return std::nullopt;
  return fixed_line(text, scope, draft_.files);
}

// For a line whose `key` is no directive; `name` is the part that should be one.
void Parser::refuse_line(std::string_view text, std::string_view key, std::string_view name,
                         Directive::Scope scope) {
  const std::string message = "unknown directive " + in_quotes(key) + ": ";
  if (!unfinished_.empty()) {
    unfinished_ += ' ' + std::string(trim(text.substr(0, text.find_last_not_of('\\') + 1)));
    return draft_.error(place_of(text),
                        message + "expected the whole command on one line, without a backslash",
                        unfinished_.size() > kLongestFix ? "" : unfinished_);
  }
  const auto fix = fix_of(text, scope);
  const auto lookalike = find_lookalike(text);
  draft_.error(place_of(text),
               message + (lookalike                     ? "it has " + lookalike->name
                          : fix && !fix->advice.empty() ? fix->advice
                                                        : advice_on(name)),
               fix ? fix->line : "");
  if (!fix) return;
  if (fix->directive != nullptr) return note_place(*fix->directive, key);
  if (fix->line.starts_with('[')) {
    end_door();
    section_ = Section::kFaulty;
  }
}

// `raw` is all that follows the '='.
void Parser::read_value(const Directive& directive, std::string_view key, std::string_view raw) {
  const bool is_command = directive.form == Directive::Form::kCommand ||
                          directive.form == Directive::Form::kCommandOrNothing;
  const std::string_view text = is_command ? trim(raw) : without_comment(raw);
  if (text.empty() && directive.form != Directive::Form::kCommandOrNothing) {
    return draft_.error(place_of(key), std::string(key) + ": missing value: expected " +
                                           std::string(directive.expects));
  }
  const Value value{key, text, place_of(text.empty() ? key : text), directive.expects};
  if (const size_t at = text.find('\0'); is_command && at != text.npos) {
    return draft_.error(place_of(text.substr(at)),
                        std::string(key) + ": a NUL byte: expected a command for /bin/sh");
  }
  if (directive.read == nullptr) {
    remark_on_value(draft_, value);
    return read_include(value);
  }
  if (!is_command) return knockd::read_value(draft_, directive, value);
  directive.read(draft_, value);
  remark_on_command(draft_, value);
  if (!text.ends_with('\\')) return;
  unfinished_ = std::string(key) + " = " + std::string(trim(text.substr(0, text.size() - 1)));
}

void Parser::note_place(const Directive& directive, std::string_view key) {
  Places& places =
      directive.scope == Directive::Scope::kOptions ? draft_.config.places : draft_.door.places;
  const auto [found, is_first] = places.try_emplace(directive.name, place_of(key));
  if (is_first) return;
  const Place earlier = std::exchange(found->second, place_of(key));
  if (directive.read == nullptr) return;  // Include may be repeated
  const bool same_file = earlier.file == found->second.file;
  draft_.remark(found->second,
                format("%s is given again: this one counts, not that of %s%sline %d",
                       std::string(key).c_str(), same_file ? "" : printable(earlier.file).c_str(),
                       same_file ? "" : ", ", earlier.line));
}

void Parser::read_include(const Value& value) {
  std::string pattern;
  if (!read_path(draft_, value, pattern)) return;
  pattern = beside(sources_.back().file, pattern);
  if (sources_.size() > kMaxIncludeDepth) {
    return draft_.error(value.place, format("files included more than %zu deep", kMaxIncludeDepth));
  }
  if (!is_pattern(pattern)) return include_file(value, pattern);
  for (const std::string& path : draft_.files.matching(pattern)) include_file(value, path);
}

void Parser::include_file(const Value& value, const std::string& path) {
  const bool is_open = std::any_of(sources_.begin(), sources_.end(),
                                   [&](const Source& source) { return source.file == path; });
  if (is_open) return draft_.error(value.place, "file " + in_quotes(path) + " includes itself");
  if (draft_.config.files.size() == kMaxFiles) {
    return draft_.error(value.place, format("more than %zu files are included", kMaxFiles));
  }
  const auto text = draft_.files.read(path);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    const std::string plain = without_quotes(value.text);
    return draft_.error(value.place,
                        "file " + in_quotes(path) + " cannot be read: " + strerror(failure->error),
                        plain == value.text ? "" : assignment(value.key, plain));
  }
  read_text(std::get<std::string>(text), path);
}

// `part` is in the line that is being read.
Place Parser::place_of(std::string_view part) const {
  const Source& source = sources_.back();
  return {source.file, source.line_number, static_cast<int>(part.data() - source.line.data()) + 1};
}

}  // namespace

Result<Config, ConfigError> parse_config(std::string_view text, const std::string& name,
                                         ConfigFiles& files) {
  return Parser(files).parse(text, name);
}

Result<Config, ConfigError> load_config(const std::string& path, ConfigFiles& files) {
  const std::string name = files.path_of(path);
  const auto text = files.read(name);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    ConfigError error;
    error.complaints = {{Complaint::Severity::kError, Place{name, 0, 0},
                         std::string("cannot be read: ") + strerror(failure->error)}};
    error.read.file = name;
    return error;
  }
  return parse_config(std::get<std::string>(text), name, files);
}

Result<Config, ConfigError> load_config(const std::string& path) {
  SystemFiles files;
  return load_config(path, files);
}

}  // namespace knockd
