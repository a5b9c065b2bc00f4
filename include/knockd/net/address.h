// SPDX-License-Identifier: MIT
// An IP address of either family as one value of 16 bytes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace knockd {

// IPv4 addresses are kept in their IPv4-mapped form, ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that
// one comparison and one hash serve both families. Bytes are in network order.
class IpAddress {
 public:
  using Bytes = std::array<uint8_t, 16>;

  constexpr IpAddress() = default;  // "::"
  explicit constexpr IpAddress(const Bytes& bytes) : bytes_(bytes) {}
  static IpAddress from_v4(std::span<const uint8_t, 4> bytes) {
    Bytes mapped = kMappedPrefix;
    std::memcpy(mapped.data() + 12, bytes.data(), 4);
    return IpAddress(mapped);
  }
  static IpAddress from_v6(std::span<const uint8_t, 16> bytes) {
    Bytes copy;
    std::memcpy(copy.data(), bytes.data(), 16);
    return IpAddress(copy);
  }

  // "192.0.2.1" or "2001:db8::1" without anything else; nothing for any other text.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const {
    return high_word() == 0 && std::memcmp(bytes_.data() + 8, kMappedPrefix.data() + 8, 4) == 0;
  }
  // Whether a single host can have this address: false for "this network" (RFC 1122, 3.2.1.3),
  // unspecified, multicast, and IPv4's limited broadcast.
  bool is_unicast() const {
    if (!is_v4()) return bytes_[0] != 0xff && (high_word() != 0 || low_word() != 0);
    const uint8_t first = bytes_[12];
    return first != 0 && first >> 4 != 14 && (first != 255 || v4_number() != 0xffffffff);
  }
  const Bytes& bytes() const { return bytes_; }
  // The IPv4 address as a number, in host order. Only for an IPv4 address.
  uint32_t v4_number() const;

  // "192.0.2.1", or IPv6 as RFC 5952 writes it; never anything but digits, a-f, '.' and ':'.
  std::string to_string() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
  // As two numbers, for speed: each packet's address is compared with several.
  friend bool operator==(const IpAddress& left, const IpAddress& right) {
    return left.high_word() == right.high_word() && left.low_word() == right.low_word();
  }

  // The two halves in memory order: for comparing and hashing, not for display.
  uint64_t high_word() const { return word_at(0); }
  uint64_t low_word() const { return word_at(8); }

 private:
  static constexpr Bytes kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

  uint64_t word_at(size_t offset) const {
    uint64_t word;
    std::memcpy(&word, bytes_.data() + offset, sizeof(word));
    return word;
  }

  Bytes bytes_{};
};

}  // namespace knockd
