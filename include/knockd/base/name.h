// SPDX-License-Identifier: MIT
// The names of users and of gateways: one rule for files, requests and messages.
#pragma once

#include <cstddef>
#include <string_view>

namespace knockd {

inline constexpr size_t kLongestUser = 32;     // bytes
inline constexpr size_t kLongestGateway = 64;  // likewise

// Letters, digits, '.', '_' and '-'; from one to `longest` bytes.
inline bool is_name(std::string_view text, size_t longest) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= longest && text.find_first_not_of(kLetters) == text.npos;
}

}  // namespace knockd
