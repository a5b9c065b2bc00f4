// SPDX-License-Identifier: MIT
// Limits lines that strangers can cause to Log_Rate a second, and logs a count of dropped ones.
#pragma once

#include <cstdint>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/base/rate_limit.h"

namespace knockd {

class LineRate {
 public:
  LineRate(EventLoop& loop, Log& log) : loop_(loop), log_(log), due_(loop, [this] { report(); }) {}

  // At most `limit` a second from now on; 0: no limit.
  void set_limit(uint32_t limit) {
    limit_ = limit;
    rate_ = RateLimit(limit);
  }
  // Whether another line may be logged now; refused ones are counted.
  bool allows();
  // Counts lines that a listener dropped. Listeners are not trusted to report that only once a
  // second.
  void add_left_out(uint64_t lines);

 private:
  void report_at(Instant when);
  void report();

  EventLoop& loop_;
  Log& log_;
  uint32_t limit_ = 0;
  RateLimit rate_{0};
  Instant next_report_{};
  EventLoop::Alarm due_;
};

}  // namespace knockd
