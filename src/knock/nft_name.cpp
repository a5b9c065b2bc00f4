// SPDX-License-Identifier: MIT
#include "knockd/knock/nft_name.h"

#include <algorithm>
#include <cstddef>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr size_t kMostLength = 255;  // NFT_NAME_MAXLEN includes the NUL

// Words that nft 1.0.6 refuses as names, found by trying, and the words of later versions. It has
// no quoting for names.
constexpr const char* kWords =
    "accept add ah all and arp auto-merge bridge cgroup chain comment comp constant continue "
    "counter cpu create ct day dccp define delete describe destroy device devices dnat drop dst "
    "dup dynamic ecn element elements eq esp ether exists expires export exthdr fib flags flow "
    "flowtable flush frag fwd gc-interval ge geneve get goto gre gretap gt handle hbh hook hour "
    "ibriport ibrname icmp icmpv6 igmp iif iifgroup iifname iiftype import include index inet "
    "insert interval ip ip6 ipsec jhash jump last le limit list log lshift lt map mark "
    "masquerade meta meter mh missing monitor ne netdev nftrace not notrack numgen obriport "
    "obrname offload oif oifgroup oifname oiftype or osf pkttype policy position priority queue "
    "quota random redefine redirect reject rename replace reset return rshift rt rt0 rt2 "
    "rtclassid rule ruleset sctp secmark set size skgid skuid snat socket srh symhash synproxy "
    "table tcp th time timeout tproxy tunnel type typeof udp udplite undefine update vlan vmap "
    "vni vxlan xor xt";

}  // namespace

bool is_nft_word(std::string_view word) { return is_one_of(word, kWords); }

bool is_nft_name(std::string_view word) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_other = [](char c) {
    return (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/';
  };
  return !word.empty() && word.size() <= kMostLength &&
         (is_letter(word.front()) || word.front() == '_') &&
         std::ranges::all_of(word, [&](char c) { return is_letter(c) || is_other(c); }) &&
         !is_nft_word(word);
}

}  // namespace knockd
