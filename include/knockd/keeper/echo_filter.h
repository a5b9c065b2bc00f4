// SPDX-License-Identifier: MIT
// Filters packets captured on several interfaces, which are a single knock: a forwarded one where
// it enters and leaves, one for a bridge or a VLAN device also on the device below.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "knockd/base/clock.h"
#include "knockd/knock/event.h"

namespace knockd {

// Remembers the last few events and their interfaces. Pure.
class EchoFilter {
 public:
  // Whether another interface reported the same a moment ago; remembers the event if not. `now`
  // must not go backwards.
  bool is_echo(const KnockEvent& event, uint32_t interface_index, Instant now) {
    for (const Told& told : last_) {
      if (told.interface_index != interface_index && is_same(told.event, event) &&
          now - told.at < kLongestEcho) {
        return true;
      }
    }
    last_[next_] = {event, interface_index, now};
    next_ = (next_ + 1) % last_.size();
    return false;
  }

 private:
  // A packet needs microseconds from one interface to the next, but listeners may have to wait for
  // a processor. Real knocks do not reach one address twice this fast by two routes.
  static constexpr Duration kLongestEcho = std::chrono::milliseconds(500);

  struct Told {
    KnockEvent event;
    uint32_t interface_index = 0;
    Instant at{};
  };

  static bool is_same(const KnockEvent& a, const KnockEvent& b) {
    return a.kind == b.kind && a.stage == b.stage && a.door == b.door &&
           a.generation == b.generation && a.source == b.source && a.destination == b.destination;
  }

  std::array<Told, 32> last_{};
  size_t next_ = 0;
};

}  // namespace knockd
