// SPDX-License-Identifier: MIT
// From a packet to the doors that it may concern, by destination, port and tcp flags. Two or three
// look-ups, however many doors there are.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "knockd/knock/door.h"

namespace knockd {

// What the doors at a packet's destination have to do with it.
struct DoorMatch {
  bool own = false;        // sent to where doors without a target are
  bool addressed = false;  // sent there, or to the target of a door
  bool has_port = false;   // a door there has the port and protocol in its sequence
  bool counts = false;     // and the flags pass that door, or another one with this port
  // The doors there whose first knock this is, whatever their flags: those without a target, and
  // those with this one.
  std::array<std::span<const DoorNumber>, 2> begins;
};

inline bool flags_pass(FlagMask mask, const Packet& packet) {
  return packet.protocol == Protocol::kUdp || mask.passes(packet.tcp_flags);
}

class DoorIndex {
 public:
  // With `any_destination` every address is an own one.
  DoorIndex(std::vector<DoorRule> doors, bool any_destination);

  // The addresses at which doors without a target are knocked at; none at construction.
  void set_own_addresses(const std::vector<IpAddress>& addresses);
  void set_sequence(DoorNumber door, Sequence sequence);
  // Of doors with such places; sorted.
  void set_codes(std::vector<DoorCodes> codes);

  size_t size() const { return doors_.size(); }
  const DoorRule& operator[](DoorNumber door) const { return doors_[door]; }

  bool has_codes() const;
  bool has_typed_codes() const;

  // The most doors at one place that share their first knock.
  size_t most_side_by_side() const;

  // Valid until the next set_sequence() or set_codes().
  DoorMatch match(const Packet& packet) const;

 private:
  // Neither is keyed: strangers are looked up, but only what is configured is stored.
  struct Hash {
    size_t operator()(const IpAddress& address) const;
    size_t operator()(const Knock& knock) const;
  };
  struct Port {
    std::vector<FlagMask> masks;     // of the doors that have it, each once
    std::vector<DoorNumber> begins;  // the doors whose first knock it is
  };

  using Ports = std::unordered_map<Knock, Port, Hash>;

  void index();
  void index(const DoorRule& door, const Knock& knock);
  void index_begin(DoorNumber door, const Knock& knock);
  Ports& ports_of(const DoorRule& door);

  std::vector<DoorRule> doors_;
  const bool any_destination_;
  std::unordered_set<IpAddress, Hash> own_addresses_;
  Ports own_ports_;  // of doors without a target
  std::unordered_map<IpAddress, Ports, Hash> targets_;
};

}  // namespace knockd
