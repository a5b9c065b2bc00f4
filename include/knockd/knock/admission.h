// SPDX-License-Identifier: MIT
// What a door without a shell opens for a knocker, and the set elements of the kernel's ruleset for
// it. Pure: the keeper adds and removes elements.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/knock/sequence.h"
#include "knockd/net/address.h"

namespace knockd {

// Values of nftables' families (linux/netfilter.h, NFPROTO_*).
enum class TableFamily : uint8_t { kInet = 1, kIp = 2, kIp6 = 10 };

// A named set; names as nft(8) accepts them.
struct SetName {
  TableFamily family = TableFamily::kInet;
  std::string table;
  std::string set;

  friend auto operator<=>(const SetName&, const SetName&) = default;
};

// "inet fw4 knockd4"
std::string to_string(const SetName& name);
// The three words of a directive; nothing for any other text.
std::optional<SetName> parse_set_name(std::string_view text);

// The bits before the IPv4 address in a mapped address.
inline constexpr uint8_t kMappedBits = 96;

// How a door lets in the knockers of one address family.
struct Admission {
  std::vector<Knock> ports;    // may be empty with the administrator's set
  std::optional<SetName> set;  // the administrator's; absent: one of knockd's own table
  uint8_t prefix = 128;        // bits: of an IPv6 address, or of a mapped IPv4 one (96 + length)

  friend bool operator==(const Admission&, const Admission&) = default;
};

// The network of `prefix` bits (as in Admission) that contains the address.
IpAddress network_of(const IpAddress& address, uint8_t prefix);
// "192.0.2.7", or "192.0.2.0/24" with a prefix shorter than the address.
std::string network_text(const IpAddress& address, uint8_t prefix);
// "tcp 22, udp 51820"; the name of the set if there are no ports.
std::string admitted_text(const Admission& admission);

// The name of the own table's set for this family and prefix: "open4_32".
std::string own_set_name(bool is_v4, uint8_t prefix);

}  // namespace knockd
