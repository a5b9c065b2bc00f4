// SPDX-License-Identifier: MIT
#include "knockd/net/address.h"

#include <arpa/inet.h>

namespace knockd {
std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof(terminated) || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  terminated[text.copy(terminated, text.size())] = '\0';
  Bytes bytes{};
  if (inet_pton(AF_INET, terminated, bytes.data()) == 1) {
    return from_v4(std::span<const uint8_t, 4>(bytes.data(), 4));
  }
  if (inet_pton(AF_INET6, terminated, bytes.data()) == 1) return IpAddress(bytes);
  return std::nullopt;
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
