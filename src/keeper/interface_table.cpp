// SPDX-License-Identifier: MIT
#include "knockd/keeper/interface_table.h"

// Kernel headers first: libnl-tiny has copies of its own for systems without them.
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "knockd/keeper/netlink_attributes.h"

namespace knockd {
namespace {

// The family's header after the netlink header; null for a message that is too short.
template <typename Header>
const Header* header_of(const nlmsghdr& message) {
  if (!nlmsg_valid_hdr(&message, sizeof(Header))) return nullptr;
  return static_cast<const Header*>(nlmsg_data(&message));
}

// Null if the message lacks this attribute. REQUIRES: the message has its Header.
template <typename Header>
const nlattr* attribute(const nlmsghdr& message, int type) {
  return nla_find(nlmsg_attrdata(&message, sizeof(Header)), nlmsg_attrlen(&message, sizeof(Header)),
                  type);
}

std::optional<IpAddress> address_of(const nlattr* attribute) {
  if (attribute == nullptr) return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(nla_data(attribute));
  switch (nla_len(attribute)) {
    case 4:
      return IpAddress::from_v4(std::span<const uint8_t, 4>(bytes, 4));
    case 16:
      return IpAddress::from_v6(std::span<const uint8_t, 16>(bytes, 16));
    default:
      return std::nullopt;
  }
}

// A text inside IFLA_LINKINFO; empty if there is none.
std::string_view link_info(const nlmsghdr& message, int type) {
  const nlattr* info = attribute<ifinfomsg>(message, IFLA_LINKINFO);
  if (info == nullptr) return {};
  return text_of(nla_find(static_cast<nlattr*>(nla_data(info)), nla_len(info), type));
}

// IFLA_LINK alone is ambiguous: for a veth it is the other end, and with IFLA_LINK_NETNSID an index
// of another namespace.
uint32_t vlan_parent(const nlmsghdr& message) {
  if (link_info(message, IFLA_INFO_KIND) != "vlan" ||
      attribute<ifinfomsg>(message, IFLA_LINK_NETNSID) != nullptr) {
    return 0;
  }
  return number_of<uint32_t>(attribute<ifinfomsg>(message, IFLA_LINK)).value_or(0);
}

// Except a VRF: packets enter by its devices.
uint32_t port_owner(const nlmsghdr& message) {
  const std::string_view kind = link_info(message, IFLA_INFO_SLAVE_KIND);
  if (kind != "bridge" && kind != "bond" && kind != "team") return 0;
  return number_of<uint32_t>(attribute<ifinfomsg>(message, IFLA_MASTER)).value_or(0);
}

}  // namespace

bool InterfaceTable::take(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return take_link(message);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return take_address(message);
    default:
      return false;
  }
}

const Interface* InterfaceTable::find(uint32_t index) const {
  const auto found = interfaces_.find(index);
  return found == interfaces_.end() ? nullptr : &found->second;
}

const Interface* InterfaceTable::find(std::string_view name) const {
  const auto found = std::find_if(interfaces_.begin(), interfaces_.end(),
                                  [name](const auto& entry) { return entry.second.name == name; });
  return found == interfaces_.end() ? nullptr : &found->second;
}

const Interface* InterfaceTable::entrance(uint32_t index, const IpAddress& destination) const {
  constexpr int kMostStories = 8;  // the kernel's limit
  for (const auto& [number, interface] : interfaces_) {
    const auto& addresses = interface.addresses;
    if (std::binary_search(addresses.begin(), addresses.end(), destination) &&
        stands_on(interface, index, kMostStories)) {
      return &interface;
    }
  }
  const Interface* heard = find(index);
  const Interface* owner = heard == nullptr ? nullptr : find(heard->port_of);
  return owner == nullptr ? heard : owner;
}

// Whether `upper` is the interface `lower`, or gets its packets from there.
bool InterfaceTable::stands_on(const Interface& upper, uint32_t lower, int most_steps) const {
  if (upper.index == lower) return true;
  if (most_steps == 0) return false;
  const Interface* parent = find(upper.parent);
  if (parent != nullptr && stands_on(*parent, lower, most_steps - 1)) return true;
  const Interface* port = find(lower);
  return port != nullptr && port->port_of != 0 && stands_on(upper, port->port_of, most_steps - 1);
}

bool InterfaceTable::take_link(const nlmsghdr& message) {
  const auto* link = header_of<ifinfomsg>(message);
  // A bridge reports its ports with the same message types and AF_BRIDGE: there, a "deleted" link
  // is a device that left the bridge.
  if (link == nullptr || link->ifi_family != AF_UNSPEC || link->ifi_index <= 0) return false;
  const auto index = static_cast<uint32_t>(link->ifi_index);
  if (message.nlmsg_type == RTM_DELLINK) {
    assignments_.erase(index);
    return interfaces_.erase(index) != 0;
  }
  const std::string_view name = text_of(attribute<ifinfomsg>(message, IFLA_IFNAME));
  if (name.empty()) return false;
  Interface& interface = interfaces_[index];
  Interface told{index,
                 std::string(name),
                 (link->ifi_flags & IFF_UP) != 0,
                 vlan_parent(message),
                 port_owner(message),
                 interface.addresses};
  if (told == interface) return false;
  interface = std::move(told);
  return true;
}

bool InterfaceTable::take_address(const nlmsghdr& message) {
  const auto* header = header_of<ifaddrmsg>(message);
  if (header == nullptr) return false;
  const auto interface = interfaces_.find(header->ifa_index);
  if (interface == interfaces_.end()) return false;
  // On a point-to-point link IFA_ADDRESS is the peer's address and IFA_LOCAL the own one; elsewhere
  // IPv6 has only IFA_ADDRESS (rtnetlink(7), linux/if_addr.h).
  const auto peer = address_of(attribute<ifaddrmsg>(message, IFA_ADDRESS));
  const auto local = address_of(attribute<ifaddrmsg>(message, IFA_LOCAL));
  if (!local && !peer) return false;
  const Assignment assignment{local ? *local : *peer, peer ? *peer : *local, header->ifa_prefixlen};
  return message.nlmsg_type == RTM_NEWADDR ? assign(interface->second, assignment)
                                           : withdraw(interface->second, assignment);
}

bool InterfaceTable::assign(Interface& interface, const Assignment& assignment) {
  std::vector<Assignment>& all = assignments_[interface.index];
  const auto place = std::lower_bound(all.begin(), all.end(), assignment);
  if (place != all.end() && *place == assignment) return false;
  all.insert(place, assignment);
  std::vector<IpAddress>& addresses = interface.addresses;
  const auto at = std::lower_bound(addresses.begin(), addresses.end(), assignment.address);
  if (at != addresses.end() && *at == assignment.address) return false;
  addresses.insert(at, assignment.address);
  return true;
}

bool InterfaceTable::withdraw(Interface& interface, const Assignment& assignment) {
  std::vector<Assignment>& all = assignments_[interface.index];
  const auto place = std::lower_bound(all.begin(), all.end(), assignment);
  if (place == all.end() || *place != assignment) return false;
  all.erase(place);
  const Assignment first{assignment.address, IpAddress(), 0};
  const auto other = std::lower_bound(all.begin(), all.end(), first);
  if (other != all.end() && other->address == assignment.address) return false;
  std::erase(interface.addresses, assignment.address);
  return true;
}

std::vector<std::string> InterfaceTable::entrances(std::vector<std::string> names) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == "any") return {};
    const Interface* const found = find(names[i]);
    const Interface* const upper = found == nullptr ? nullptr : find(found->port_of);
    if (upper != nullptr && std::ranges::find(names, upper->name) == names.end()) {
      names.push_back(upper->name);
    }
  }
  return names;
}

}  // namespace knockd
