// SPDX-License-Identifier: MIT
// The step between using up a code and opening its door: where knockd-fleet shares codes, the door
// waits briefly until the other gateways know the code.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"

namespace knockd {

// A hung fleet delays one door once: no other waits until shared() was called.
class CodeSharing {
 public:
  static constexpr Duration kLongest = std::chrono::milliseconds(300);

  using Open = std::function<void(uint64_t opening)>;

  CodeSharing(EventLoop& loop, Log& log, Open open);

  // Whether doors wait. False opens those that are waiting.
  void share(bool share);
  // Opens the door, now or later.
  void wait_for(uint64_t opening);
  // The other gateways know the code. For an opening that does not wait: the fleet works again.
  void shared(uint64_t opening);

 private:
  void lose_patience();
  void open_all();
  void set_alarm();

  EventLoop& loop_;
  Log& log_;
  const Open open_;
  bool shares_ = false;
  bool hangs_ = false;
  std::vector<std::pair<Instant, uint64_t>> waiting_;  // since when; the oldest first
  EventLoop::Alarm patience_;
};

}  // namespace knockd
