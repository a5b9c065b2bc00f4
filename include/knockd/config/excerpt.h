// SPDX-License-Identifier: MIT
// A line of a configuration as -t prints it below a finding, with a caret under the place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knockd {

// `line` and a line with a caret under the byte of this column (from 1); neither if the line is
// blank. Only ASCII and tabs: other characters are shown as <U+2013>, and invalid bytes as <E9>. A
// long line is cut around the place.
std::vector<std::string> excerpt(std::string_view line, int column);

// `text` in the form of an excerpt.
std::string visible(std::string_view text);

}  // namespace knockd
