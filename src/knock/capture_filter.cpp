// SPDX-License-Identifier: MIT
// The program, in the order of its execution:
//
//   ethertype -> IPv4: fragment? protocol, header length -> decision tree over the destination
//             -> IPv6: next header                       -> the same, word by word
//             -> VLAN: pass
//   a leaf of the trees -> flags and ports of the doors at that address -> pass or refuse
//
// From then on X holds the length of the IP header, and scratch memory the protocol, so that the
// last part serves both families.
#include "knockd/knock/capture_filter.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <utility>

namespace knockd {
namespace {

constexpr uint32_t kWholePacket = 0x40000;
// Words of scratch memory. An IPv6 destination is kept there because the kernel translates a load
// from a packet into six of its own instructions, but one from scratch memory into one.
constexpr uint32_t kProtocolScratch = 0;
constexpr uint32_t kDestinationScratch = 1;  // and the next three

constexpr uint32_t kEthertypeIpv4 = 0x0800;
constexpr uint32_t kEthertypeIpv6 = 0x86dd;
constexpr uint32_t kEthertypesVlan[] = {0x8100, 0x88a8, 0x9100};

// The extension headers that may precede tcp or udp: those that the decoder follows (IANA, "IPv6
// Extension Header Types", without ESP, which encrypts what follows).
constexpr uint32_t kExtensionHeaders[] = {0, 43, 44, 51, 60, 135, 139, 140};

constexpr size_t kMaxPortRanges = 64;
constexpr size_t kMaxPortSets = 4;

using Label = BpfProgram::Label;

// The packets that the doors at one address need.
struct PortSet {
  bool connection_attempts = false;  // at any port
  FlagMask tcp_flags;                // required by all of the doors below
  std::vector<uint32_t> tcp;
  std::vector<uint32_t> udp;

  bool empty() const { return !connection_attempts && tcp.empty() && udp.empty(); }
  friend bool operator==(const PortSet&, const PortSet&) = default;
};

bool passes_connection_attempts_alone(FlagMask mask) {
  return (mask.wanted & kTcpSyn) != 0 && (mask.excluded & kTcpAck) != 0;
}

void add_door(PortSet& set, const DoorRule& door) {
  for (const Knock& knock : door.sequence) {
    if (knock.protocol == Protocol::kUdp) {
      set.udp.push_back(knock.port);
    } else if (!set.connection_attempts || !passes_connection_attempts_alone(door.flags)) {
      const FlagMask& common = set.tcp.empty() ? door.flags : set.tcp_flags;
      set.tcp_flags = {static_cast<uint8_t>(common.wanted & door.flags.wanted),
                       static_cast<uint8_t>(common.excluded & door.flags.excluded)};
      set.tcp.push_back(knock.port);
    }
  }
}

// The destination addresses, and for each of them the number of its port set.
struct Audience {
  std::vector<PortSet> sets;
  std::map<IpAddress, size_t> addresses;
};

// With `one_set` each address gets the ports of all doors.
Audience audience_of(const CaptureWishes& wishes, bool one_set) {
  std::vector<const DoorRule*> doors_of_own;
  std::map<IpAddress, std::vector<const DoorRule*>> doors_by_target;
  for (const DoorRule& door : wishes.doors) {
    if (!door.sequence.empty()) {
      (door.target && !one_set ? doors_by_target[*door.target] : doors_of_own).push_back(&door);
    }
  }

  Audience audience;
  const auto set_for = [&](const std::vector<const DoorRule*>& doors) {
    PortSet set;
    set.connection_attempts = wishes.scan_guard;
    for (const DoorRule* door : doors) add_door(set, *door);
    const auto known = std::find(audience.sets.begin(), audience.sets.end(), set);
    if (known != audience.sets.end()) return static_cast<size_t>(known - audience.sets.begin());
    audience.sets.push_back(std::move(set));
    return audience.sets.size() - 1;
  };
  const auto add = [&](const IpAddress& address, size_t set) {
    if (address.is_v4() || !wishes.only_v4) audience.addresses[address] = set;
  };

  const size_t set_of_own = set_for(doors_of_own);
  if (!audience.sets[set_of_own].empty()) {
    for (const IpAddress& address : wishes.own_addresses) add(address, set_of_own);
  }
  if (one_set) {
    for (const DoorRule& door : wishes.doors) {
      if (door.target && !door.sequence.empty()) add(*door.target, set_of_own);
    }
  }
  for (auto& [target, doors] : doors_by_target) {
    if (audience.addresses.contains(target)) {
      doors.insert(doors.end(), doors_of_own.begin(), doors_of_own.end());
    }
    add(target, set_for(doors));
  }
  return audience;
}

// The precision of addresses. Each level is coarser than the one before; none misses a wanted
// address.
struct Grain {
  size_t v4_ranges;   // at most; 0: all of IPv4
  uint32_t v6_words;  // 32-bit words compared; 0: all of IPv6
};
constexpr Grain kExact{SIZE_MAX, 4};
constexpr Grain kCoarser[] = {{SIZE_MAX, 2}, {512, 2}, {128, 2}, {128, 1}, {32, 1}, {32, 0}};
constexpr Grain kAnyAddress{0, 0};

// Writes the program for one audience. The audience has one set, except with the exact grain.
class Writer {
 public:
  Writer(const FilterLayout& layout, const Audience& audience, const Grain& grain)
      : layout_(layout), audience_(audience), grain_(grain) {}

  std::vector<FilterInstruction> write(bool hear_v4, bool hear_v6);

 private:
  using Words = std::array<uint32_t, 4>;
  struct V6Choice {
    Words words;
    size_t set;
  };

  Label write_set(const PortSet& set);
  Label write_tcp(const PortSet& set);
  Label write_ports(const std::vector<uint32_t>& ports);
  Label write_v4();
  Label write_v4_addresses();
  Label write_v6();
  Label write_v6_addresses(std::span<const V6Choice> choices, uint32_t word);

  const FilterLayout layout_;
  const Audience& audience_;
  const Grain grain_;

  BpfProgram program_;
  Label pass_ = 0;
  Label refuse_ = 0;
  std::vector<Label> sets_;
};

std::vector<FilterInstruction> Writer::write(bool hear_v4, bool hear_v6) {
  pass_ = program_.give(kWholePacket);
  refuse_ = program_.give(0);
  for (const PortSet& set : audience_.sets) sets_.push_back(write_set(set));
  const Label v6 = hear_v6 ? write_v6() : refuse_;
  const Label v4 = hear_v4 ? write_v4() : refuse_;

  Label next = refuse_;
  for (const uint32_t vlan : kEthertypesVlan) next = program_.branch(kIfEqual, vlan, pass_, next);
  next = program_.branch(kIfEqual, kEthertypeIpv6, v6, next);
  next = program_.branch(kIfEqual, kEthertypeIpv4, v4, next);
  program_.put(kLoadHalf, layout_.protocol, next);
  return program_.finish();
}

// Reached only by tcp, udp and, of IPv6, extension headers.
Label Writer::write_set(const PortSet& set) {
  const Label udp = write_ports(set.udp);
  const Label tcp = write_tcp(set);
  Label next = program_.branch(kIfEqual, static_cast<uint32_t>(Protocol::kUdp), udp, pass_);
  next = program_.branch(kIfEqual, static_cast<uint32_t>(Protocol::kTcp), tcp, next);
  return program_.put(kLoadScratch, kProtocolScratch, next);
}

// RFC 9293, 3.1: destination port at 2, flags at 13.
Label Writer::write_tcp(const PortSet& set) {
  Label next = write_ports(set.tcp);
  const uint8_t tested = set.tcp_flags.wanted | set.tcp_flags.excluded;
  if (next != refuse_ && tested != 0) {
    next = program_.branch(kIfEqual, set.tcp_flags.wanted, next, refuse_);
    next = program_.put(kAnd, tested, next);
  }
  if (set.connection_attempts) {
    const Label others = next;
    next = program_.branch(kIfAnyBit, kTcpAck, others, pass_);
    next = program_.branch(kIfAnyBit, kTcpSyn, next, others);
  }
  return next == refuse_ ? refuse_ : program_.put(kLoadByteAtX, layout_.network + 13, next);
}

// RFC 768 and RFC 9293, 3.1: the destination port is at 2.
Label Writer::write_ports(const std::vector<uint32_t>& ports) {
  if (ports.empty()) return refuse_;
  std::vector<NumberRange> ranges = ranges_of(ports);
  merge_closest(ranges, kMaxPortRanges / audience_.sets.size());
  const Label next = program_.choose(ranges, refuse_, [this](size_t) { return pass_; });
  return program_.put(kLoadHalfAtX, layout_.network + 2, next);
}

// RFC 791, 3.1: flags and fragment offset at 6, protocol at 9, destination at 16.
Label Writer::write_v4() {
  Label next = write_v4_addresses();
  next = program_.put(kLoadXHeaderLength, layout_.network, next);
  const Label knockable = program_.put(kStoreScratch, kProtocolScratch, next);
  next = program_.branch(kIfEqual, static_cast<uint32_t>(Protocol::kUdp), knockable, refuse_);
  next = program_.branch(kIfEqual, static_cast<uint32_t>(Protocol::kTcp), knockable, next);
  next = program_.put(kLoadByte, layout_.network + 9, next);
  next = program_.branch(kIfAnyBit, 0x1fff, refuse_, next);
  return program_.put(kLoadHalf, layout_.network + 6, next);
}

Label Writer::write_v4_addresses() {
  if (grain_.v4_ranges == 0) return sets_.front();
  std::vector<NumberRange> ranges;
  std::vector<size_t> sets;
  for (const auto& [address, set] : audience_.addresses) {
    if (!address.is_v4()) continue;
    const uint32_t number = address.v4_number();
    if (!ranges.empty() && number - ranges.back().high == 1 && set == sets.back()) {
      ranges.back().high = number;
    } else {
      ranges.push_back({number, number});
      sets.push_back(set);
    }
  }
  merge_closest(ranges, grain_.v4_ranges);
  const Label next = program_.choose(ranges, refuse_, [&](size_t i) { return sets_[sets[i]]; });
  return program_.put(kLoadWord, layout_.network + 16, next);
}

// RFC 8200, 3: next header at 6, destination at 24, 40 bytes in all.
Label Writer::write_v6() {
  std::vector<V6Choice> choices;
  for (const auto& [address, set] : audience_.addresses) {
    if (address.is_v4()) continue;
    V6Choice choice{{}, set};
    for (size_t i = 0; i < address.bytes().size(); ++i) {
      uint32_t& word = choice.words[i / 4];
      word = word << 8 | address.bytes()[i];
    }
    choices.push_back(choice);
  }
  Label next = grain_.v6_words == 0 ? sets_.front() : write_v6_addresses(choices, 0);
  for (uint32_t word = 0; word < grain_.v6_words; ++word) {
    next = program_.put(kStoreScratch, kDestinationScratch + word, next);
    next = program_.put(kLoadWord, layout_.network + 24 + 4 * word, next);
  }
  next = program_.put(kLoadX, 40, next);
  const Label knockable = program_.put(kStoreScratch, kProtocolScratch, next);
  next = refuse_;
  for (const uint32_t header : kExtensionHeaders) {
    next = program_.branch(kIfEqual, header, knockable, next);
  }
  next = program_.branch(kIfEqual, static_cast<uint32_t>(Protocol::kUdp), knockable, next);
  next = program_.branch(kIfEqual, static_cast<uint32_t>(Protocol::kTcp), knockable, next);
  return program_.put(kLoadByte, layout_.network + 6, next);
}

// `choices` are sorted and agree in the words before `word`.
Label Writer::write_v6_addresses(std::span<const V6Choice> choices, uint32_t word) {
  std::vector<NumberRange> values;
  std::vector<std::span<const V6Choice>> groups;
  for (size_t begin = 0, end = 0; begin < choices.size(); begin = end) {
    const uint32_t value = choices[begin].words[word];
    while (end < choices.size() && choices[end].words[word] == value) ++end;
    values.push_back({value, value});
    groups.push_back(choices.subspan(begin, end - begin));
  }
  const Label next = program_.choose(values, refuse_, [&](size_t i) {
    return word + 1 < grain_.v6_words ? write_v6_addresses(groups[i], word + 1)
                                      : sets_[groups[i].front().set];
  });
  return program_.put(kLoadScratch, kDestinationScratch + word, next);
}

std::vector<FilterInstruction> write(const CaptureWishes& wishes, const FilterLayout& layout,
                                     const Grain& grain, bool one_set) {
  const bool has_door = std::any_of(wishes.doors.begin(), wishes.doors.end(),
                                    [](const DoorRule& door) { return !door.sequence.empty(); });
  const Audience audience = audience_of(wishes, one_set);
  bool hear_v4 = wishes.any_destination;
  bool hear_v6 = wishes.any_destination && !wishes.only_v4;
  for (const auto& [address, set] : audience.addresses)
    (address.is_v4() ? hear_v4 : hear_v6) = true;
  if (!has_door || (!hear_v4 && !hear_v6)) return {{kReturn, 0, 0, 0}};
  return Writer(layout, audience, grain).write(hear_v4, hear_v6);
}

}  // namespace

std::vector<FilterInstruction> make_capture_filter(const CaptureWishes& wishes,
                                                   const FilterLayout& layout,
                                                   size_t max_instructions) {
  if (!wishes.any_destination) {
    std::set<IpAddress> targets;
    for (const DoorRule& door : wishes.doors) {
      if (door.target) targets.insert(*door.target);
    }
    // With more than a few sets the program would grow with the doors.
    const bool one_set = targets.size() >= kMaxPortSets;
    auto program = write(wishes, layout, kExact, one_set);
    if (program.size() <= max_instructions) return program;
    for (const Grain& grain : kCoarser) {
      program = write(wishes, layout, grain, true);
      if (program.size() <= max_instructions) return program;
    }
  }
  return write(wishes, layout, kAnyAddress, true);
}

}  // namespace knockd
