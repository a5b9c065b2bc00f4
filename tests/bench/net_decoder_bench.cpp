// SPDX-License-Identifier: MIT
// The decoder's time per frame.
#include <benchmark/benchmark.h>

#include "knockd/net/decoder.h"
#include "tests/net/frames.h"

namespace knockd {
namespace {

using namespace frames;  // NOLINT: a language for tests

void Decode(benchmark::State& state, LinkType link_type, const Bytes& frame) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(decode(link_type, frame, static_cast<uint32_t>(frame.size())));
  }
}
BENCHMARK_CAPTURE(Decode, EthernetIpv4Tcp, LinkType::kEthernet, ethernet(ipv4(tcp(syn(1, 7000)))));
BENCHMARK_CAPTURE(Decode, EthernetIpv6Tcp, LinkType::kEthernet, ethernet(ipv6(tcp(syn(1, 7000)))));
BENCHMARK_CAPTURE(Decode, TaggedIpv4Udp, LinkType::kEthernet,
                  ethernet(vlan(10, ipv4(udp(1, 7000)))));
BENCHMARK_CAPTURE(Decode, ExtensionHeaders, LinkType::kEthernet,
                  ethernet(ipv6(hop_by_hop(routing(destination_options(tcp(syn(1, 7000))))))));
BENCHMARK_CAPTURE(Decode, CookedIpv4Tcp, LinkType::kLinuxCooked, cooked(ipv4(tcp(syn(1, 7000)))));
BENCHMARK_CAPTURE(Decode, Arp, LinkType::kEthernet, ethernet(arp()));

}  // namespace
}  // namespace knockd
