// SPDX-License-Identifier: MIT
// Requests that wait for the daemon. Of a door and address waits at most one that closes, and
// behind it one that opens, the latest: who floods the fleet makes neither the queue long nor the
// others wait. Pure.
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
  // The next one, which is no longer in it.
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
