// SPDX-License-Identifier: MIT
// A faulty value as it may have been meant, for each kind of value: guesses, which the caller tries
// with the reader of the directive. Pure functions of the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knockd {

// `text` without typographic characters, comments of another kind, quotes and brackets.
std::string without_decoration(std::string_view text);

// `text` without the quotes around the whole of it, and without what follows " ;".
std::string without_quotes(std::string_view text);

// The guesses, the likeliest first. `text` has no decoration any more.
std::vector<std::string> rewrites(std::string_view text);

// Whether a port in it is "7000-7010", whatever the numbers.
bool has_range(std::string_view text);

}  // namespace knockd
