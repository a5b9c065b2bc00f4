// SPDX-License-Identifier: MIT
// The known word that a mistyped one probably stands for, for messages.
#pragma once

#include <string_view>
#include <vector>

namespace knockd {

// The word that is at most two edits of a letter away (one for a word of three letters), whatever
// the case; empty if there is none. Of equally near ones the first.
std::string_view nearest_word(std::string_view mistyped,
                              const std::vector<std::string_view>& words);

}  // namespace knockd
