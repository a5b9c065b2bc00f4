// SPDX-License-Identifier: MIT
// One packet may be heard on several interfaces: a forwarded one where it comes in and where it
// goes out, one for a bridge or a VLAN device also on the device below. It is one knock all the
// same.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "knockd/base/clock.h"
#include "knockd/knock/event.h"

namespace knockd {

// Remembers the last few events, and which interface told them. Pure.
class EchoFilter {
 public:
  // Whether another interface told the same a moment ago; an event that is no echo is remembered.
  // `now` must not go backwards.
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
  // A packet takes microseconds from one interface to the next, but listeners may have to wait for
  // a processor. Nobody knocks at one address twice so fast by two ways.
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
