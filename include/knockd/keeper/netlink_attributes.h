// SPDX-License-Identifier: MIT
// Reads attributes of netlink messages with bounds checks. A null pointer is an absent one.
#pragma once

// Kernel headers first: libnl-tiny has copies of its own for systems without them.
#include <linux/netlink.h>
#include <netlink/attr.h>

#include <cstring>
#include <optional>
#include <string_view>

namespace knockd {

// Up to its end or the first zero; empty if it is absent.
inline std::string_view text_of(const nlattr* attribute) {
  if (attribute == nullptr) return {};
  const auto* const text = static_cast<const char*>(nla_data(attribute));
  return {text, strnlen(text, static_cast<size_t>(nla_len(attribute)))};
}

// Unconverted: rtnetlink has numbers in host order, nfnetlink in network order. Nothing if it is
// absent or of another size.
template <typename Number>
std::optional<Number> number_of(const nlattr* attribute) {
  Number number;
  if (attribute == nullptr || nla_len(attribute) != sizeof(number)) return std::nullopt;
  std::memcpy(&number, nla_data(attribute), sizeof(number));
  return number;
}

}  // namespace knockd
