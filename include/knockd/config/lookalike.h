// SPDX-License-Identifier: MIT
// Characters that word processors and web pages use instead of ASCII: typographic quotes, dashes,
// special blanks, and characters without a width.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace knockd {

struct Lookalike {
  size_t offset = 0;    // in the text, in bytes
  size_t length = 0;    // in bytes
  std::string name;     // "U+2013 (en dash)"
  std::string_view as;  // what was meant, in ASCII; empty: nothing
};

// The first one in a text.
std::optional<Lookalike> find_lookalike(std::string_view text);

// `text` with each replaced by what was meant.
std::string without_lookalikes(std::string_view text);

}  // namespace knockd
