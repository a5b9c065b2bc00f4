// SPDX-License-Identifier: MIT
// Ends the keeper: first all stop commands, then On_Stop, then exit. Waits at most kLongest; doors
// still open by then stay in the state file.
#pragma once

#include <functional>
#include <string>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/keeper/door_keeper.h"

namespace knockd {

class OrderlyExit {
 public:
  // SIGTERM ends the daemon within 2 s.
  static constexpr Duration kLongest = std::chrono::milliseconds(1500);

  // `out` may be called more than once.
  OrderlyExit(EventLoop& loop, Log& log, DoorKeeper& doors, std::function<void()> out);

  // `close`: closes open doors; else they are left to the next start. `on_stop`: empty for none.
  void begin(bool close, std::string on_stop);
  // Leaves without closing or running anything.
  void leave_at_once();
  bool has_begun() const { return has_begun_; }
  // To be called when commands have ended.
  void go_on();
  // Whether kLongest is over; during a long turn the loop would notice too late.
  bool is_overdue();

 private:
  void close_doors();
  void give_up();

  EventLoop& loop_;
  Log& log_;
  DoorKeeper& doors_;
  const std::function<void()> out_;
  bool close_ = false;
  std::string on_stop_;
  bool has_begun_ = false;
  bool on_stop_run_ = false;
  EventLoop::Alarm close_more_;
  EventLoop::Alarm give_up_;
};

}  // namespace knockd
