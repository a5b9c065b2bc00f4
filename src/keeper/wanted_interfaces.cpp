// SPDX-License-Identifier: MIT
#include "knockd/keeper/wanted_interfaces.h"

#include <algorithm>
#include <utility>

namespace knockd {

WantedInterfaces::WantedInterfaces(std::vector<std::string> names, bool only_v4)
    : names_(std::move(names)), only_v4_(only_v4) {}

bool WantedInterfaces::contain(const std::string& name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

std::vector<IpAddress> WantedInterfaces::addresses_on(
    const std::string& name, uint32_t index, const std::map<uint32_t, Interface>& present) const {
  std::vector<IpAddress> addresses;
  for (const auto& [number, interface] : present) {
    // Frames for a VLAN device arrive at its parent, tagged. Not needed if the device itself is
    // wanted.
    const bool on_vlan = interface.parent == index && !contain(interface.name);
    if (name != kAnyInterface && number != index && !on_vlan) continue;
    for (const IpAddress& address : interface.addresses) {
      if (!only_v4_ || address.is_v4()) addresses.push_back(address);
    }
  }
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

}  // namespace knockd
