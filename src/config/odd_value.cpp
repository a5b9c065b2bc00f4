// SPDX-License-Identifier: MIT
#include "knockd/config/odd_value.h"

#include <optional>
#include <string>

#include "knockd/base/text.h"
#include "knockd/config/fix.h"
#include "knockd/config/lookalike.h"
#include "knockd/config/rewrites.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

constexpr std::string_view kPlaceholder = "%IP%";

// A remark on the part of a command at `offset`, with the corrected whole command.
void remark_at(Draft& draft, const Value& value, size_t offset, const std::string& message,
               std::string_view command) {
  Place place = value.place;
  place.column += static_cast<int>(offset);
  draft.remark(place, std::string(value.key) + ": " + message, assignment(value.key, command));
}

std::string replaced(std::string_view text, size_t offset, size_t length, std::string_view by) {
  return std::string(text.substr(0, offset)).append(by).append(text.substr(offset + length));
}

// "%ip%" and "%IP", which would reach the shell unchanged.
void remark_on_placeholders(Draft& draft, const Value& value) {
  const std::string_view text = value.text;
  for (size_t at = text.find('%'); at != text.npos; at = text.find('%', at + 1)) {
    if (text.substr(at).starts_with(kPlaceholder)) {
      at += kPlaceholder.size() - 1;
      continue;
    }
    const bool is_closed = equals_ignoring_case(text.substr(at, kPlaceholder.size()), kPlaceholder);
    const std::string_view found = text.substr(at, is_closed ? 4 : 3);
    if (!is_closed && found != "%IP") continue;
    remark_at(draft, value, at, std::string(found) + " is not replaced: expected %IP%",
              replaced(text, at, found.size(), kPlaceholder));
    return;
  }
}

bool is_quote(char c) { return c == '"' || c == '\''; }

// Whether the whole command is one word in quotes.
bool is_one_quoted_word(std::string_view text) {
  return text.size() > 1 && is_quote(text.front()) && text.find(text.front(), 1) == text.size() - 1;
}

// The first typographic character outside quotes, where it is hardly intended.
std::optional<Lookalike> find_bare_lookalike(std::string_view text) {
  char quote = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const bool is_end = i == text.size();
    if (!is_end && (!is_quote(text[i]) || (quote != 0 && text[i] != quote))) continue;
    if (quote == 0) {
      auto found = find_lookalike(text.substr(begin, i - begin));
      if (found) {
        found->offset += begin;
        return found;
      }
    }
    if (!is_end) quote = quote == 0 ? text[i] : '\0';
    begin = i + 1;
  }
  return std::nullopt;
}

}  // namespace

void remark_on_value(Draft& draft, const Value& value) {
  const std::string plain = without_quotes(value.text);
  if (plain == value.text || plain.empty()) return;
  const auto lookalike = find_lookalike(value.text);
  const std::string what = lookalike                      ? lookalike->name + " is"
                           : is_quote(value.text.front()) ? "the quotes are"
                                                          : "; and what follows are";
  draft.remark(
      value.place,
      std::string(value.key) + ' ' + in_quotes(value.text) + ": " + what + " read as part of it",
      assignment(value.key, plain));
}

void remark_on_command(Draft& draft, const Value& value) {
  const std::string_view text = value.text;
  remark_on_placeholders(draft, value);
  if (const auto found = find_bare_lookalike(text)) {
    remark_at(draft, value, found->offset, "the shell does not know " + found->name,
              without_lookalikes(text));
  }
  if (text.ends_with('\\')) {
    remark_at(draft, value, text.size() - 1,
              "the line ends with a backslash: expected the whole command on one line",
              trim(text.substr(0, text.size() - 1)));
  }
  if (is_one_quoted_word(text) && text.find(' ') != text.npos) {
    remark_at(draft, value, 0,
              "the shell takes all that is in quotes for the name of one program: expected the "
              "command without them",
              text.substr(1, text.size() - 2));
  }
}

}  // namespace knockd
