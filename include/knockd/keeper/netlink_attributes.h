// SPDX-License-Identifier: MIT
// What is in an attribute of a netlink message, read with care. An absent one may be a null
// pointer.
#pragma once

// The kernel's headers come before libnl's: libnl-tiny brings its own copy for those who lack them.
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

// As it stands: rtnetlink has numbers in the machine's order, nfnetlink in the network's. Nothing
// if it is absent or of another size.
template <typename Number>
std::optional<Number> number_of(const nlattr* attribute) {
  Number number;
  if (attribute == nullptr || nla_len(attribute) != sizeof(number)) return std::nullopt;
  std::memcpy(&number, nla_data(attribute), sizeof(number));
  return number;
}

}  // namespace knockd
