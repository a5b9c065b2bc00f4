// SPDX-License-Identifier: MIT
// The capture filter: a classic BPF program that passes every packet the tracker can use and hardly
// any other. Built here instruction by instruction, because libpcap's compiler needs seconds for
// long lists of addresses, cannot express the TCP flags of IPv6, and ties a program to one link
// type. The capture sets it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "knockd/knock/bpf_program.h"
#include "knockd/knock/door.h"
#include "knockd/net/address.h"

namespace knockd {

// Where a program finds the headers of a frame, as absolute load offsets.
struct FilterLayout {
  uint32_t protocol = 0;  // the ethertype, 16 bits
  uint32_t network = 0;   // the first byte of the IP header
};

// For a packet socket of any link type: SKF_AD_OFF + SKF_AD_PROTOCOL and SKF_NET_OFF of
// linux/filter.h. Attach it with SO_ATTACH_FILTER: pcap_setfilter() adjusts offsets on cooked
// captures and would break these. Finds only bytes in the linear part of a socket buffer; drivers
// put at least the headers there.
inline constexpr FilterLayout kKernelLayout{0xfffff000, 0xfff00000};
// For an Ethernet frame in a file.
inline constexpr FilterLayout kEthernetLayout{12, 14};

// The kernel's limit (BPF_MAXINSNS). The kernel stores a program in a longer form, 11 to 16 bytes
// an instruction, and limits its size to net.core.optmem_max (ENOMEM): 131,072 bytes since Linux
// 6.7, enough for any program here, but 20,480 before. After a refusal the caller requests a
// smaller program.
inline constexpr size_t kMaxFilterInstructions = 4096;
inline constexpr size_t kSmallFilterInstructions = 1200;

struct CaptureWishes {
  std::vector<IpAddress> own_addresses;
  std::vector<DoorRule> doors;
  bool scan_guard = true;        // pass every connection attempt
  bool only_v4 = false;          // pass no IPv6
  bool any_destination = false;  // pass packets to any address
};

// Returns a program of at most `max_instructions` (256 or more) for any number of doors and
// addresses. It passes what is sent to an own address or a target and is
//   - tcp, SYN without ACK, if the scan guard is on,
//   - tcp or udp to a port that a door there has, tcp only with flags that may pass,
//   - IPv6 with extension headers, which the decoder has to follow,
// and what still carries a VLAN tag. When the lists are too long for the limit, neighbouring ports
// and addresses are merged: the program then passes more, never less. Without doors it refuses
// everything. Takes about a millisecond for a thousand doors.
std::vector<FilterInstruction> make_capture_filter(
    const CaptureWishes& wishes, const FilterLayout& layout,
    size_t max_instructions = kMaxFilterInstructions);

}  // namespace knockd
