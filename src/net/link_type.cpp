// SPDX-License-Identifier: MIT
#include "knockd/net/link_type.h"

namespace knockd {

const char* name_of(LinkType link_type) {
  switch (link_type) {
    case LinkType::kEthernet:
      return "Ethernet";
    case LinkType::kLinuxCooked:
    case LinkType::kLinuxCooked2:
      return "Linux cooked";
    case LinkType::kRaw:
      return "raw IP";
    case LinkType::kLoopback:
      return "BSD loopback";
  }
  return "";
}

std::optional<LinkType> link_type_from_number(int number) {
  switch (number) {
    case 1:
      return LinkType::kEthernet;
    case 113:
      return LinkType::kLinuxCooked;
    case 276:
      return LinkType::kLinuxCooked2;
    case 12:
    case 14:
    case 101:
      return LinkType::kRaw;
    case 0:
    case 108:
      return LinkType::kLoopback;
    default:
      return std::nullopt;
  }
}

}  // namespace knockd
