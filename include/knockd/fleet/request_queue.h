// SPDX-License-Identifier: MIT
// Requests that wait for the daemon. For a door and address at most one close waits, and after it
// the latest open: a flood of the fleet neither fills the queue nor delays others. Pure.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <utility>

#include "knockd/fleet/daemon_text.h"

namespace knockd {

class RequestQueue {
 public:
  void add(DaemonRequest request);
  // Removes and returns the next request.
  std::optional<DaemonRequest> take();
  void clear();
  size_t size() const { return requests_.size(); }

 private:
  using Requests = std::list<DaemonRequest>;
  using Waiting = std::map<DoorAddress, Requests::iterator>;

  void add_open(const DoorAddress& place, DaemonRequest request);
  void add_close(const DoorAddress& place, DaemonRequest request);

  Requests requests_;
  Waiting opens_;
  Waiting closes_;
};

}  // namespace knockd
