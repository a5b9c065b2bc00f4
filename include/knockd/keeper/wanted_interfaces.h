// SPDX-License-Identifier: MIT
// The interfaces that are to be listened on, and whose addresses are heard there. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "knockd/keeper/interface_table.h"
#include "knockd/net/address.h"

namespace knockd {

// All that there are, as one.
inline constexpr char kAnyInterface[] = "any";

class WantedInterfaces {
 public:
  WantedInterfaces() = default;
  // Of IPv6 nothing is heard with `only_v4`.
  WantedInterfaces(std::vector<std::string> names, bool only_v4);

  const std::vector<std::string>& names() const { return names_; }
  bool contain(const std::string& name) const;
  // The addresses to which packets come in that are heard on this one, sorted, each once. `index`
  // is not looked at for "any".
  std::vector<IpAddress> addresses_on(const std::string& name, uint32_t index,
                                      const std::map<uint32_t, Interface>& present) const;

 private:
  std::vector<std::string> names_;
  bool only_v4_ = false;
};

}  // namespace knockd
