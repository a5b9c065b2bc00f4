// SPDX-License-Identifier: MIT
// Follows this host's interfaces and addresses by rtnetlink, through the part of libnl-3 that
// libnl-tiny has too. Which of them are listened to, and what a change means, is its owner's
// business. Together with interface_table.cpp the one place that knows netlink.
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

// A picture of the network namespace it was made in, true as of the last read(). Has no loop of its
// own: the owner calls read() whenever fd() is readable. One thread.
class InterfaceMonitor {
 public:
  // Subscribes and takes the first picture; before that it sees no interface, nor afterwards if the
  // kernel refuses either.
  Status begin();

  // Never blocks, closes on exec; stays the same.
  int fd() const;

  // Takes in all that waits, so that many events make one update; true if the picture changed.
  // Where events were lost it asks for everything anew. If even that fails, the picture
  // stays as it was and the next read() tries again.
  bool read();
  // Whether that failed: read() is to be called again soon, even if nothing more comes.
  bool is_stale() const { return stale_; }

  const std::map<uint32_t, Interface>& interfaces() const { return table_.by_index(); }
  // Null if there is none. Valid until the next read().
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
  bool stale_ = true;  // the table may lack something: events were lost, or no dump was whole yet
};

// The device of the IPv4 default route with the lowest metric in the main table; where there is
// none, of the IPv6 one. An error if the kernel cannot be asked.
Result<std::optional<std::string>> default_route_interface();

}  // namespace knockd
