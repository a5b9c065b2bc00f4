// SPDX-License-Identifier: MIT
// The picture of this host's interfaces and their addresses, kept from rtnetlink messages
// (rtnetlink(7)). Pure: the interface monitor reads the messages.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/net/address.h"

struct nlmsghdr;

namespace knockd {

struct Interface {
  uint32_t index = 0;  // unique while the device exists, never 0
  std::string name;
  bool up = false;       // administratively up (IFF_UP), with or without a carrier
  uint32_t parent = 0;   // of a VLAN device: the index of its parent device; else 0
  uint32_t port_of = 0;  // of a port: the index of its bridge, bond or team; else 0
  // Sorted, each once. Includes tentative and deprecated IPv6 addresses: the former become valid
  // within a second, the latter still are.
  std::vector<IpAddress> addresses;

  friend bool operator==(const Interface&, const Interface&) = default;
};

// The interfaces by the messages so far. An address belongs to an interface in the table and is
// removed with it.
class InterfaceTable {
 public:
  // Handles one message of the kernel, whose length must not exceed the received bytes. True if it
  // changed the picture; ignores irrelevant and short messages.
  bool take(const nlmsghdr& message);

  const std::map<uint32_t, Interface>& by_index() const { return interfaces_; }
  // Null if unknown. Valid until the next message.
  const Interface* find(uint32_t index) const;
  const Interface* find(std::string_view name) const;
  // The input interface, as a firewall sees it, of a packet captured on `index`: the bridge instead
  // of its port, and the VLAN device instead of its parent if the packet's destination is there.
  // Null if `index` is unknown.
  const Interface* entrance(uint32_t index, const IpAddress& destination) const;
  // The input interfaces of packets captured on these: the same, and for ports their bridge, bond
  // or team. Empty if one of them is "any".
  std::vector<std::string> entrances(std::vector<std::string> names) const;

 private:
  // The kernel distinguishes IPv4 addresses by all three: 192.0.2.1/24 and 192.0.2.1/32 may
  // coexist, and after removal of one the host still has the address.
  struct Assignment {
    IpAddress address;
    IpAddress peer;  // of a point-to-point link; else the address again
    uint8_t prefix = 0;

    friend auto operator<=>(const Assignment&, const Assignment&) = default;
  };

  bool stands_on(const Interface& upper, uint32_t lower, int most_steps) const;
  bool take_link(const nlmsghdr& message);
  bool take_address(const nlmsghdr& message);
  bool assign(Interface& interface, const Assignment& assignment);
  bool withdraw(Interface& interface, const Assignment& assignment);

  std::map<uint32_t, Interface> interfaces_;
  std::map<uint32_t, std::vector<Assignment>> assignments_;  // sorted, each once
};

}  // namespace knockd
