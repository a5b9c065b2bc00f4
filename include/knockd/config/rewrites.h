// SPDX-License-Identifier: MIT
// Guesses at what a faulty value was meant to be, for each kind of value; the caller tries them
// with the reader of the directive. Pure functions of the text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knockd {

// `text` without typographic characters, comments of another kind, quotes and brackets.
std::string without_decoration(std::string_view text);

// `text` without enclosing quotes, and without a trailing " ;..." comment.
std::string without_quotes(std::string_view text);

// The guesses, the likeliest first. `text` must be without decoration.
std::vector<std::string> rewrites(std::string_view text);

// Whether it contains a range like "7000-7010".
bool has_range(std::string_view text);

}  // namespace knockd
