// SPDX-License-Identifier: MIT
// The picture of this host's interfaces and their addresses, kept from rtnetlink messages
// (rtnetlink(7)). Pure: where the messages come from is the interface monitor's business.
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
  uint32_t index = 0;  // unique as long as the device lives, never 0
  std::string name;
  bool up = false;       // set up by the administrator (IFF_UP), whether a cable is in it or not
  uint32_t parent = 0;   // of a VLAN device: the index of the device it is on; else 0
  uint32_t port_of = 0;  // of a port of a bridge, bond or team: the index of that; else 0
  // Sorted, each once. Tentative and deprecated IPv6 addresses count: the first will be ours in a
  // second, the second still are.
  std::vector<IpAddress> addresses;

  friend bool operator==(const Interface&, const Interface&) = default;
};

// The interfaces as the messages told them so far. An address belongs to an interface that is in
// the table, and goes with it.
class InterfaceTable {
 public:
  // Takes in one message of the kernel, its length already checked against what was received.
  // True if that changed the picture; a message that is of no interest or too short does not.
  bool take(const nlmsghdr& message);

  const std::map<uint32_t, Interface>& by_index() const { return interfaces_; }
  // Null if there is none. Valid until the next message.
  const Interface* find(uint32_t index) const;
  const Interface* find(std::string_view name) const;
  // The interface by which a packet that was heard on `index` comes in, as a firewall sees it: not
  // the port but its bridge, not the device that carries a VLAN but the VLAN's if the packet's
  // destination is there. Null if `index` is unknown.
  const Interface* entrance(uint32_t index, const IpAddress& destination) const;
  // By which packets come in that are heard on these interfaces: these, and the bridge, bond or
  // team of which one is a port. Empty if one of them is "any".
  std::vector<std::string> entrances(std::vector<std::string> names) const;

 private:
  // The kernel tells IPv4 addresses apart by all three: 192.0.2.1/24 and 192.0.2.1/32 may stand
  // side by side, and when one goes the address is still ours.
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
