// SPDX-License-Identifier: MIT
// The known word closest to a mistyped one, for messages.
#pragma once

#include <string_view>
#include <vector>

namespace knockd {

// The word within two edits of a letter (one for a word of three letters), ignoring case; empty if
// there is none. Of equally near ones, the first.
std::string_view nearest_word(std::string_view mistyped,
                              const std::vector<std::string_view>& words);

}  // namespace knockd
