// SPDX-License-Identifier: MIT
// The table with which knockd keeps ports shut, as text for nft(8). Pure.
//
// At prerouting, before DNAT, it drops packets that arrive on one of the interfaces for one of the
// ports from an address in none of the sets. It ignores packets to other hosts; published ports,
// broadcast and multicast are addressed to this one. For tcp it handles only connection attempts,
// unless a door's connections end with its opening.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/knock/admission.h"

namespace knockd {

inline constexpr char kShutChain[] = "shut";

struct ShutPort {
  Knock port;
  bool keep_established = true;  // connections made while it was open continue

  friend bool operator==(const ShutPort&, const ShutPort&) = default;
};

struct ShutTable {
  std::string name = "knockd";          // of family inet
  std::vector<std::string> interfaces;  // empty: all but loopback
  std::vector<ShutPort> ports;          // each once
  std::set<uint8_t> prefixes_v4;        // of the doors, as in Admission
  std::set<uint8_t> prefixes_v6;        // empty: no IPv6 is let in
  uint32_t most_elements = 4096;        // of each set

  bool has(const Knock& port) const {
    return std::ranges::any_of(ports, [&](const ShutPort& one) { return one.port == port; });
  }
  friend bool operator==(const ShutTable&, const ShutTable&) = default;
};

// Recreates the table in one transaction, without the elements of its sets.
std::string to_nft(const ShutTable& table);
// The name of the table that such a text creates; empty for other text.
std::string table_name_in(std::string_view ruleset);
// Removes it; no error if it does not exist.
std::string to_nft_removal(const std::string& name);

}  // namespace knockd
