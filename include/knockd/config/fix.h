// SPDX-License-Identifier: MIT
// What to write instead of a faulty value or line: for mistakes of users who know other formats or
// copy from a web page. Proposes only what the directive's own reader accepts.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "knockd/config/directives.h"

namespace knockd {

inline constexpr size_t kMostFixes = 100;   // a file with more errors needs another kind of help
inline constexpr size_t kLongestFix = 300;  // bytes; a longer line is no help

// What to write instead of a value that the directive's reader refuses: the line, or how to find
// the right value. Empty if neither is clear.
std::string fixed_assignment(const Directive& directive, const Value& value, ConfigFiles& files);

// The line "Key = value"; empty if it is too long for a message.
std::string assignment(std::string_view key, std::string_view value);

struct LineFix {
  std::string line;
  std::string advice;                    // for the message; empty: the line says it
  const Directive* directive = nullptr;  // that was meant; null: a comment or a section
};

// What was meant by a line that is neither comment nor section nor directive.
std::optional<LineFix> fixed_line(std::string_view text, Directive::Scope scope,
                                  ConfigFiles& files);

// What was meant by a section's header; empty if it has no name.
std::string fixed_section(std::string_view text);

}  // namespace knockd
