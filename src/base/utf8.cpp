// SPDX-License-Identifier: MIT
#include "knockd/base/utf8.h"

#include <bit>
#include <cstdint>

namespace knockd {

std::optional<Utf8Character> first_character(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto lead = static_cast<uint8_t>(text.front());
  if (lead < 0x80) return Utf8Character{lead, 1};
  const auto length = static_cast<size_t>(std::countl_one(lead));
  if (length < 2 || length > 4 || text.size() < length) return std::nullopt;
  char32_t code = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xc0) != 0x80) return std::nullopt;
    code = code << 6 | (byte & 0x3fu);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // by length: no longer form is valid
  const bool is_surrogate = code >= 0xd800 && code < 0xe000;
  if (code < kLeast[length] || code > 0x10ffff || is_surrogate) return std::nullopt;
  return Utf8Character{code, length};
}

}  // namespace knockd
