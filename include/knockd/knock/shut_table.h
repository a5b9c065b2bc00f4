// SPDX-License-Identifier: MIT
// The table by which knockd keeps ports shut, as text for nft(8). Pure.
//
// At prerouting, before DNAT, it drops what comes in by one of the interfaces for one of the ports
// from an address that is in none of the sets. What is addressed to another host is left alone; a
// published port is addressed to this one, as are broadcast and multicast. Of tcp it looks at
// connection attempts alone, unless the connections of a door end with it.
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
  bool keep_established = true;  // connections that were made while it was open go on

  friend bool operator==(const ShutPort&, const ShutPort&) = default;
};

struct ShutTable {
  std::string name = "knockd";          // of family inet
  std::vector<std::string> interfaces;  // empty: all but loopback
  std::vector<ShutPort> ports;          // each once
  std::set<uint8_t> prefixes_v4;        // of the doors, as in Admission
  std::set<uint8_t> prefixes_v6;        // empty: IPv6 is let in nowhere
  uint32_t most_elements = 4096;        // of each set

  bool has(const Knock& port) const {
    return std::ranges::any_of(ports, [&](const ShutPort& one) { return one.port == port; });
  }
  friend bool operator==(const ShutTable&, const ShutTable&) = default;
};

// Makes the table anew, in one transaction; without the elements of its sets.
std::string to_nft(const ShutTable& table);
// The name of the table that such a text makes; empty of any other text.
std::string table_name_in(std::string_view ruleset);
// Removes it, whether it is there or not.
std::string to_nft_removal(const std::string& name);

}  // namespace knockd
