// SPDX-License-Identifier: MIT
// Finds the doors that a packet may concern, by destination, port and tcp flags. Two or three
// look-ups for any number of doors.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "knockd/knock/door.h"

namespace knockd {

// What a packet means to the doors at its destination.
struct DoorMatch {
  bool own = false;        // sent to an address of doors without a target
  bool addressed = false;  // sent to one of those, or to the target of a door
  bool has_port = false;   // some door's sequence there has the port and protocol
  bool counts = false;     // and that door, or another with this port, accepts the flags
  // The doors there with this first knock, whatever their flags: those without a target, and those
  // with this one.
  std::array<std::span<const DoorNumber>, 2> begins;
};

inline bool flags_pass(FlagMask mask, const Packet& packet) {
  return packet.protocol == Protocol::kUdp || mask.passes(packet.tcp_flags);
}

class DoorIndex {
 public:
  // With `any_destination` every address counts as an own one.
  DoorIndex(std::vector<DoorRule> doors, bool any_destination);

  // The addresses of doors without a target; none at construction.
  void set_own_addresses(const std::vector<IpAddress>& addresses);
  void set_sequence(DoorNumber door, Sequence sequence);
  // Sets the codes of doors with such places; must be sorted.
  void set_codes(std::vector<DoorCodes> codes);

  size_t size() const { return doors_.size(); }
  const DoorRule& operator[](DoorNumber door) const { return doors_[door]; }

  bool has_codes() const;
  bool has_typed_codes() const;

  // The highest number of doors that one packet can begin; more where no target is an own address.
  size_t most_side_by_side() const;

  // Valid until the next set_sequence() or set_codes().
  DoorMatch match(const Packet& packet) const;

 private:
  // Not keyed: strangers' values are only looked up; the stored ones are configured.
  struct Hash {
    size_t operator()(const IpAddress& address) const;
    size_t operator()(const Knock& knock) const;
  };
  struct Port {
    std::vector<FlagMask> masks;     // of the doors with this port, each once
    std::vector<DoorNumber> begins;  // the doors with this first knock
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
