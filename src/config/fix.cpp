// SPDX-License-Identifier: MIT
#include "knockd/config/fix.h"

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/config/lookalike.h"
#include "knockd/config/rewrites.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

bool is_command(const Directive& directive) {
  return directive.form == Directive::Form::kCommand ||
         directive.form == Directive::Form::kCommandOrNothing;
}

bool is_accepted(const Directive& directive, std::string_view key, std::string_view text,
                 ConfigFiles& files) {
  if (text.empty() || text.size() > kLongestFix) return false;
  if (directive.read == nullptr || is_command(directive)) return true;
  Draft draft{files, {}, {}, {}};
  directive.read(draft, {key, text, {}, directive.expects});
  return draft.errors.empty() && draft.config.remarks.empty();
}

bool takes_ports(const Directive& directive) {
  return directive.name == "Sequence" || directive.name == "Open";
}

// Whether it looks like the name of a host or a service, without characters special to a shell.
bool is_name(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

// The value that was meant, in a form that the directive's reader accepts.
std::optional<std::string> fixed_value(const Directive& directive, const Value& value,
                                       ConfigFiles& files) {
  if (value.text.size() > kLongestFix) return std::nullopt;
  for (const std::string& guess : rewrites(without_decoration(value.text))) {
    if (is_accepted(directive, value.key, guess, files)) return guess;
  }
  return std::nullopt;
}

// How to find the number or the address of a name.
std::string advice_on_name(const Directive& directive, std::string_view text) {
  if (!is_name(text)) return "";
  if (directive.name == "Target") {
    return "the address of it, as `getent ahosts " + std::string(text) + "` prints it";
  }
  return takes_ports(directive)
             ? "its number, as `getent services " + std::string(text) + "` prints it"
             : "";
}

// The key and what follows it, if the line begins with something like a key of this section.
std::optional<LineFix> fix_at(std::string_view text, size_t end, Directive::Scope scope,
                              ConfigFiles& files) {
  const std::string_view key = trim(text.substr(0, end));
  const std::string_view name = nearest_key(key);
  const Directive* const directive = name.empty() ? nullptr : find_directive(name, scope);
  if (directive == nullptr || directive->scope != scope) return std::nullopt;
  const size_t begin = text.find_first_not_of("=: \t", end);
  if (begin == text.npos) return std::nullopt;
  const std::string_view raw = text.substr(begin);
  const std::string_view value = is_command(*directive) ? trim(raw) : without_comment(raw);
  const auto fixed = is_accepted(*directive, name, value, files)
                         ? std::string(value)
                         : fixed_value(*directive, {name, value, {}, directive->expects}, files);
  if (!fixed) return std::nullopt;
  const std::string advice = !equals_ignoring_case(name, key)
                                 ? "did you mean " + std::string(name) + '?'
                             : text[end] != '=' ? "expected = behind " + std::string(name)
                                                : "";
  return LineFix{assignment(name, *fixed), advice, directive};
}

std::optional<LineFix> fixed_comment(std::string_view text) {
  for (const std::string_view mark : {";", "//", "--", "/*"}) {
    if (text.starts_with(mark)) {
      return LineFix{"# " + std::string(trim(text.substr(mark.size()))),
                     "expected # before a comment"};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string assignment(std::string_view key, std::string_view value) {
  if (value.size() > kLongestFix) return "";
  return std::string(key) + " = " + std::string(value);
}

std::string fixed_assignment(const Directive& directive, const Value& value, ConfigFiles& files) {
  const auto fixed = fixed_value(directive, value, files);
  if (fixed) return assignment(value.key, *fixed);
  const std::string plain = without_decoration(value.text);
  if (takes_ports(directive) && has_range(plain)) {
    return format("each port of the range by itself, at most %zu", kMaxKnocks);
  }
  return advice_on_name(directive, plain);
}

std::optional<LineFix> fixed_line(std::string_view text, Directive::Scope scope,
                                  ConfigFiles& files) {
  if (text.size() > kLongestFix) return std::nullopt;
  const std::string plain(trim(without_lookalikes(text)));
  if (plain.empty()) return std::nullopt;
  if (auto comment = fixed_comment(plain)) return comment;
  const std::string bare = without_quotes(plain);
  const Directive* const alone = find_directive(bare, scope);
  if (alone != nullptr && alone->form == Directive::Form::kSwitch) return LineFix{bare, "", alone};
  if (plain.starts_with('[') || (plain.ends_with(']') && plain.find('=') == plain.npos)) {
    const std::string section = fixed_section(plain);
    if (!section.empty()) return LineFix{section, ""};
  }
  // A key is followed by '=' or ':', else by a blank; a key of two words also contains one.
  const size_t blank = plain.find_first_of(" \t");
  for (const size_t end : {plain.find('='), plain.find(':'), blank,
                           plain.find_first_of(" \t", std::min(blank, plain.size() - 1) + 1)}) {
    if (end == plain.npos) continue;
    if (auto fix = fix_at(plain, end, scope, files)) return fix;
  }
  return std::nullopt;
}

std::string fixed_section(std::string_view text) {
  const std::string plain = without_quotes(text);
  std::string_view name = plain;
  if (name.starts_with('[')) name.remove_prefix(1);
  name = without_comment(name.substr(0, name.find(']')));
  return name.empty() || name.size() > kLongestFix ? "" : '[' + std::string(name) + ']';
}

}  // namespace knockd
