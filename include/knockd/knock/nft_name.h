// SPDX-License-Identifier: MIT
// Names of tables and sets, as nft(8) takes them. Pure.
#pragma once

#include <string_view>

namespace knockd {

// Whether nft(8) takes the word as the name of a table or set, as it stands.
bool is_nft_name(std::string_view word);
// Whether the word has a meaning of its own to nft(8), and so is no name.
bool is_nft_word(std::string_view word);

}  // namespace knockd
