// SPDX-License-Identifier: MIT
// One valid frame of each kind that the decoder knows, with its packet: every link with each IP
// version and each protocol, plain and with all options. They are also the decoder fuzzer's seeds.
#pragma once

#include <string>
#include <vector>

#include "knockd/net/decoder.h"
#include "tests/net/frames.h"

namespace knockd::frames {

struct SampleFrame {
  std::string name;
  LinkType link_type = LinkType::kEthernet;
  Bytes bytes;
  Packet packet;

  Decoded decoded() const { return decode(link_type, bytes, static_cast<uint32_t>(bytes.size())); }
};

namespace internal {

struct NamedPayload {
  std::string name;
  LinkPayload payload;
  Packet packet;
};

inline std::vector<NamedPayload> sample_payloads() {
  const IpPayload segment =
      tcp({.source_port = 40001, .destination_port = 7000, .options = {2, 4, 5, 0xb4}});
  const IpPayload datagram =
      udp({.source_port = 40001, .destination_port = 8000, .payload = {'x'}});
  const Ipv4 options = {.options = {0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0}};
  const auto extended = [](const IpPayload& payload) {
    return hop_by_hop(destination_options(
        routing(fragment(authentication(destination_options(payload)), 0, false))));
  };

  Packet tcp4;
  tcp4.source = address(kSource4);
  tcp4.destination = address(kDestination4);
  tcp4.source_port = 40001;
  tcp4.destination_port = 7000;
  tcp4.tcp_flags = kTcpSyn;
  tcp4.tcp_sequence = 0x01020304;
  Packet udp4 = tcp4;
  udp4.protocol = Protocol::kUdp;
  udp4.destination_port = 8000;
  udp4.tcp_flags = 0;
  udp4.tcp_sequence = 0;
  Packet tcp6 = tcp4;
  Packet udp6 = udp4;
  tcp6.source = udp6.source = address(kSource6);
  tcp6.destination = udp6.destination = address(kDestination6);

  return {{"ipv4-tcp", ipv4(segment), tcp4},
          {"ipv4-udp", ipv4(datagram), udp4},
          {"ipv4-options-tcp", ipv4(segment, options), tcp4},
          {"ipv4-options-udp", ipv4(datagram, options), udp4},
          {"ipv6-tcp", ipv6(segment), tcp6},
          {"ipv6-udp", ipv6(datagram), udp6},
          {"ipv6-extensions-tcp", ipv6(extended(segment)), tcp6},
          {"ipv6-extensions-udp", ipv6(extended(datagram)), udp6}};
}

}  // namespace internal

inline std::vector<SampleFrame> sample_frames() {
  constexpr uint32_t kInterfaceIndex = 7;
  std::vector<SampleFrame> samples;
  for (const auto& [name, payload, packet] : internal::sample_payloads()) {
    const auto add = [&, &what = name, &facts = packet](const char* link, LinkType type,
                                                        Bytes bytes, uint32_t interface_index = 0) {
      Packet expected = facts;
      expected.length = static_cast<uint32_t>(bytes.size());
      expected.interface_index = interface_index;
      samples.push_back({std::string(link) + "-" + what, type, std::move(bytes), expected});
    };
    const uint32_t family = payload.ether_type == 0x0800 ? 2 : 30;
    add("ethernet", LinkType::kEthernet, ethernet(payload));
    add("vlans", LinkType::kEthernet, ethernet(vlan(100, vlan(10, payload), 0x88a8)));
    add("cooked", LinkType::kLinuxCooked, cooked(payload));
    add("cooked2", LinkType::kLinuxCooked2, cooked2(payload, kInterfaceIndex), kInterfaceIndex);
    add("raw", LinkType::kRaw, raw(payload));
    add("loopback", LinkType::kLoopback, loopback(family, payload));
  }
  return samples;
}

}  // namespace knockd::frames
