// SPDX-License-Identifier: MIT
// What lies between a code that is used up and the door that it opens: where knockd-fleet shares
// codes, the door waits until the code is known to the other gateways, but never long.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"

namespace knockd {

// A fleet that hangs delays one door once: none waits again until shared() was called.
class CodeSharing {
 public:
  static constexpr Duration kLongest = std::chrono::milliseconds(300);

  using Open = std::function<void(uint64_t opening)>;

  CodeSharing(EventLoop& loop, Log& log, Open open);

  // Whether doors wait. Who has waited so far is opened by false.
  void share(bool share);
  // Opens it, now or later.
  void wait_for(uint64_t opening);
  // Its code is known; of one that does not wait: the fleet works again.
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
