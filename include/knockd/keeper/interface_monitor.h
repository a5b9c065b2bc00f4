// SPDX-License-Identifier: MIT
// Follows this host's interfaces and addresses by rtnetlink, with the part of libnl-3 that
// libnl-tiny also has. The owner chooses interfaces and acts on changes. Only this and
// interface_table.cpp use rtnetlink.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "knockd/base/result.h"
#include "knockd/keeper/interface_table.h"
#include "knockd/keeper/netlink_socket.h"

namespace knockd {

// A picture of its network namespace as of the last read(). Without a loop of its own: the owner
// calls read() whenever fd() is readable. One thread.
class InterfaceMonitor {
 public:
  // Subscribes and takes the first picture. There are no interfaces before, or after a fault.
  Status begin();

  // Non-blocking, close-on-exec; never changes.
  int fd() const;

  // Reads all waiting events, so that many make one update; true if the picture changed. If events
  // were lost, it dumps everything again. If that fails, the picture stays the same and the next
  // read() retries.
  bool read();
  // Whether that failed: call read() again soon, even without new events.
  bool is_stale() const { return stale_; }

  const std::map<uint32_t, Interface>& interfaces() const { return table_.by_index(); }
  // Null if unknown. Valid until the next read().
  const Interface* find(uint32_t index) const { return table_.find(index); }
  const Interface* find(std::string_view name) const { return table_.find(name); }
  const Interface* entrance(uint32_t index, const IpAddress& destination) const {
    return table_.entrance(index, destination);
  }
  std::vector<std::string> entrances(const std::vector<std::string>& names) const {
    return table_.entrances(names);
  }

 private:
  bool refresh();

  NetlinkSocket socket_;
  InterfaceTable table_;
  bool stale_ = true;  // the table may be incomplete: events were lost, or no dump has succeeded
};

// The device of the IPv4 default route with the lowest metric in the main table; without one, of
// the IPv6 route. A fault if the kernel cannot be queried.
Result<std::optional<std::string>> default_route_interface();

}  // namespace knockd
