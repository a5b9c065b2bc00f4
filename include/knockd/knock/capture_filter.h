// SPDX-License-Identifier: MIT
// What the kernel should show us: a classic BPF program that passes every packet the tracker can
// use and hardly any other. Built here instruction by instruction, because the text compiler of
// libpcap takes seconds for long lists of addresses, cannot say where the TCP flags of IPv6 stand,
// and ties a program to one link type. Setting it is left to the capture.
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
// linux/filter.h. To be attached with SO_ATTACH_FILTER: pcap_setfilter() moves offsets on cooked
// captures and would spoil these. Only bytes in the linear part of a socket buffer are found this
// way; drivers put at least the headers there.
inline constexpr FilterLayout kKernelLayout{0xfffff000, 0xfff00000};
// For an Ethernet frame as it stands in a file.
inline constexpr FilterLayout kEthernetLayout{12, 14};

// The kernel takes no more (BPF_MAXINSNS). It keeps a program in a longer form of its own, 11 to 16
// bytes an instruction, and holds that to net.core.optmem_max (ENOMEM): 131,072 bytes since Linux
// 6.7, which any program here fits, but 20,480 before. Who is refused asks again for a small one.
inline constexpr size_t kMaxFilterInstructions = 4096;
inline constexpr size_t kSmallFilterInstructions = 1200;

struct CaptureWishes {
  std::vector<IpAddress> own_addresses;
  std::vector<DoorRule> doors;
  bool scan_guard = true;        // hear every connection attempt
  bool only_v4 = false;          // hear no IPv6
  bool any_destination = false;  // hear what is sent to anyone
};

// Returns a program of at most `max_instructions` (from 256 on), however many doors and addresses
// there are. It passes what goes to an own address or a target and is
//   - tcp, SYN without ACK, if the scan guard is on,
//   - tcp or udp to a port that a door there has, tcp only with flags that may pass,
//   - IPv6 with extension headers, which the decoder has to follow,
// and what still carries a VLAN tag. When the lists are too long for the bound, neighbouring ports
// and addresses are taken together: more is passed then, never less. If there is nothing to hear it
// refuses everything. Takes about a millisecond for a thousand doors.
std::vector<FilterInstruction> make_capture_filter(
    const CaptureWishes& wishes, const FilterLayout& layout,
    size_t max_instructions = kMaxFilterInstructions);

}  // namespace knockd
