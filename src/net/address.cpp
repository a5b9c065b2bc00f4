// SPDX-License-Identifier: MIT
#include "knockd/net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace knockd {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

IpAddress IpAddress::from_v4(std::span<const uint8_t, 4> bytes) {
  Bytes mapped{};
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), mapped.begin());
  std::copy(bytes.begin(), bytes.end(), mapped.begin() + 12);
  return IpAddress(mapped);
}

IpAddress IpAddress::from_v6(std::span<const uint8_t, 16> bytes) {
  Bytes copy{};
  std::copy(bytes.begin(), bytes.end(), copy.begin());
  return IpAddress(copy);
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof(terminated) || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  Bytes bytes{};
  if (inet_pton(AF_INET, terminated, bytes.data()) == 1) {
    return from_v4(std::span<const uint8_t, 4>(bytes.data(), 4));
  }
  if (inet_pton(AF_INET6, terminated, bytes.data()) == 1) return IpAddress(bytes);
  return std::nullopt;
}

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin());
}

uint32_t IpAddress::v4_number() const {
  return uint32_t{bytes_[12]} << 24 | uint32_t{bytes_[13]} << 16 | uint32_t{bytes_[14]} << 8 |
         uint32_t{bytes_[15]};
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  const char* result = is_v4() ? inet_ntop(AF_INET, bytes_.data() + 12, text, sizeof(text))
                               : inet_ntop(AF_INET6, bytes_.data(), text, sizeof(text));
  return result == nullptr ? std::string() : std::string(result);
}

}  // namespace knockd
