// SPDX-License-Identifier: MIT
// The characters of a text in UTF-8 (RFC 3629), one by one.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace knockd {

struct Utf8Character {
  char32_t code = 0;
  size_t length = 0;  // bytes
};

// The first character of `text`; nothing if it is empty or does not begin with UTF-8.
std::optional<Utf8Character> first_character(std::string_view text);

}  // namespace knockd
