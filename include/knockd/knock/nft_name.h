// SPDX-License-Identifier: MIT
// Names of tables and sets that nft(8) accepts. Pure.
#pragma once

#include <string_view>

namespace knockd {

// Whether nft(8) accepts the word as the name of a table or set.
bool is_nft_name(std::string_view word);
// Whether the word is a keyword of nft(8), and therefore not a name.
bool is_nft_word(std::string_view word);

}  // namespace knockd
