// SPDX-License-Identifier: MIT
// The secret that a user and the daemon share, and the values computed from it: HOTP (RFC 4226, by
// liboath). docs/code-scheme.md specifies all of it, with test vectors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "knockd/base/result.h"

namespace knockd {

class Secret {
 public:
  static constexpr size_t kLeastBytes = 16;  // RFC 4226, 4, R6
  static constexpr size_t kMostBytes = 64;

  // Base32 (RFC 4648, 6) in either case, with or without final "=" and blanks between. The error
  // says what was expected but never quotes the text.
  static Result<Secret> parse(std::string_view base32);
  // 160 random bits.
  static Result<Secret> draw();

  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret();  // erases it from memory

  // In capitals, without "=".
  std::string base32() const;
  // The HOTP value of a counter; `digits` 6 to 8.
  uint32_t hotp(uint64_t counter, unsigned digits) const;
  // Identifies the secret on disk and in a fleet: 16 digits that reveal nothing of it.
  std::string id() const;
  // Whether id() could return this.
  static bool is_id(std::string_view text);

  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  Secret() = default;

  // Not on the heap, where freed copies would stay readable.
  std::array<char, kMostBytes> bytes_{};
  size_t size_ = 0;
};

// Overwrites a text that contains secrets.
void wipe(std::string& text);

}  // namespace knockd
