// SPDX-License-Identifier: MIT
// How a captured frame begins: the kinds of links that are understood, and their numbers and names.
#pragma once

#include <cstdint>
#include <optional>

namespace knockd {

// The numbers in the comments are libpcap's DLT_ and LINKTYPE_ values.
enum class LinkType : uint8_t {
  kEthernet,      // 1: IEEE 802.3 with up to eight 802.1Q/802.1ad tags
  kLinuxCooked,   // 113: LINUX_SLL, 16 bytes
  kLinuxCooked2,  // 276: LINUX_SLL2, 20 bytes, names the interface
  kRaw,           // 12, 14, 101: begins with the IPv4 or IPv6 header
  kLoopback,      // 0, 108: BSD loopback, a 4-byte address family in either byte order
};

// "Ethernet", as people are told.
const char* name_of(LinkType link_type);

// The link type for a DLT_/LINKTYPE_ number; nothing for one that is not understood.
std::optional<LinkType> link_type_from_number(int number);

}  // namespace knockd
