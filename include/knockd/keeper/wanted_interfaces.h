// SPDX-License-Identifier: MIT
// The interfaces to listen on, and the addresses for each. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "knockd/keeper/interface_table.h"
#include "knockd/net/address.h"

namespace knockd {

// All interfaces, as one.
inline constexpr char kAnyInterface[] = "any";

class WantedInterfaces {
 public:
  WantedInterfaces() = default;
  // Ignores IPv6 with `only_v4`.
  WantedInterfaces(std::vector<std::string> names, bool only_v4);

  const std::vector<std::string>& names() const { return names_; }
  bool contain(const std::string& name) const;
  // The destination addresses of packets captured on this one, sorted, each once. Ignores `index`
  // for "any".
  std::vector<IpAddress> addresses_on(const std::string& name, uint32_t index,
                                      const std::map<uint32_t, Interface>& present) const;

 private:
  std::vector<std::string> names_;
  bool only_v4_ = false;
};

}  // namespace knockd
