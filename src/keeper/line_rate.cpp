// SPDX-License-Identifier: MIT
#include "knockd/keeper/line_rate.h"

#include <algorithm>

#include "knockd/knock/event_text.h"

namespace knockd {

bool LineRate::allows() {
  if (rate_.allow(loop_.now())) return true;
  report_at(rate_.window_end());
  return false;
}

void LineRate::add_left_out(uint64_t lines) {
  rate_.add_refused(lines);
  report_at(loop_.now());
}

void LineRate::report_at(Instant when) {
  if (!due_.when()) due_.set(std::max(when, next_report_));
}

void LineRate::report() {
  const uint64_t lines = rate_.take_refused();
  if (lines == 0) return;
  next_report_ = loop_.now() + std::chrono::seconds(1);
  log_.warning(left_out_line(lines, limit_));
}

}  // namespace knockd
