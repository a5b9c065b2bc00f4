// SPDX-License-Identifier: MIT
#include "knockd/knock/door_index.h"

#include <algorithm>
#include <utility>

namespace knockd {

size_t DoorIndex::Hash::operator()(const IpAddress& address) const {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // spreads each bit over the upper half
  return static_cast<size_t>((address.high_word() * kOdd ^ address.low_word()) * kOdd >> 32);
}

size_t DoorIndex::Hash::operator()(const Knock& knock) const {
  return size_t{knock.port} << 8 | static_cast<uint8_t>(knock.protocol);
}

DoorIndex::DoorIndex(std::vector<DoorRule> doors, bool any_destination)
    : doors_(std::move(doors)), any_destination_(any_destination) {
  index();
}

void DoorIndex::set_own_addresses(const std::vector<IpAddress>& addresses) {
  own_addresses_ = {addresses.begin(), addresses.end()};
}

void DoorIndex::set_sequence(DoorNumber door, Sequence sequence) {
  doors_[door].sequence = std::move(sequence);
  index();
}

void DoorIndex::set_codes(std::vector<DoorCodes> codes) {
  for (DoorCodes& some : codes) doors_[some.door].codes = std::move(some.codes);
  index();
}

void DoorIndex::index() {
  own_ports_.clear();
  targets_.clear();
  for (size_t i = 0; i < doors_.size(); ++i) {
    const DoorRule& door = doors_[i];
    const auto number = static_cast<DoorNumber>(i);
    // Packets to the target of a door without a sequence still count as addressed.
    if (door.target) targets_.try_emplace(*door.target);
    if (door.sequence.empty()) continue;
    for (size_t place = 0; place < door.sequence.size(); ++place) {
      const Knock& first = door.sequence[place];
      if (!door.places.contains(place)) {
        index(door, first);
      } else if (door.places.typed) {
        for (uint16_t n = 0; n < kTypedPorts; ++n) {
          index(door, {static_cast<uint16_t>(first.port + n), Protocol::kTcp});
        }
      } else {
        for (size_t code = 0; code < door.codes.size(); ++code) {
          index(door, door.knock_at(place, static_cast<uint16_t>(code)));
        }
      }
    }
    if (!door.places.contains(0)) {
      index_begin(number, door.sequence.front());
    } else {
      for (const Code& code : door.codes) {
        index_begin(number, {code.ports.front(), Protocol::kTcp});
      }
    }
  }
}

void DoorIndex::index(const DoorRule& door, const Knock& knock) {
  auto& masks = ports_of(door)[knock].masks;
  if (std::find(masks.begin(), masks.end(), door.flags) == masks.end()) masks.push_back(door.flags);
}

void DoorIndex::index_begin(DoorNumber door, const Knock& knock) {
  auto& begins = ports_of(doors_[door])[knock].begins;
  if (begins.empty() || begins.back() != door) begins.push_back(door);
}

DoorIndex::Ports& DoorIndex::ports_of(const DoorRule& door) {
  return door.target ? targets_[*door.target] : own_ports_;
}

bool DoorIndex::has_codes() const {
  return std::ranges::any_of(doors_, [](const DoorRule& door) { return !door.places.empty(); });
}

bool DoorIndex::has_typed_codes() const {
  return std::ranges::any_of(doors_, [](const DoorRule& door) { return door.places.typed; });
}

size_t DoorIndex::most_side_by_side() const {
  const auto most_of = [](const Ports& ports) {
    size_t most = 0;
    for (const auto& [knock, port] : ports) most = std::max(most, port.begins.size());
    return most;
  };
  size_t most_of_targets = 0;
  for (const auto& [target, ports] : targets_) {
    most_of_targets = std::max(most_of_targets, most_of(ports));
  }
  // A target may be an own address: a packet to it begins the doors of both.
  return most_of(own_ports_) + most_of_targets;
}

DoorMatch DoorIndex::match(const Packet& packet) const {
  DoorMatch match;
  const auto add = [&](const Ports& ports, size_t place) {
    match.addressed = true;
    const auto found = ports.find({packet.destination_port, packet.protocol});
    if (found == ports.end()) return;
    const auto& [masks, begins] = found->second;
    match.has_port = true;
    match.counts |= std::any_of(masks.begin(), masks.end(),
                                [&](FlagMask mask) { return flags_pass(mask, packet); });
    match.begins[place] = begins;
  };
  match.own = any_destination_ || own_addresses_.contains(packet.destination);
  if (match.own) add(own_ports_, 0);
  const auto target = targets_.find(packet.destination);
  if (target != targets_.end()) add(target->second, 1);
  return match;
}

}  // namespace knockd
