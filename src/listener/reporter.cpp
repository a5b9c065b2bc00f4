// SPDX-License-Identifier: MIT
#include "knockd/listener/reporter.h"

#include <algorithm>

namespace knockd {

void Reporter::on_event(const KnockEvent& event) {
  if (event.kind != EventKind::kOpen) {
    if (rate_.allow(loop_.now()) && !send(event)) rate_.add_refused(1);
    return;
  }
  if (knocks_.empty() && send(event)) return;
  auto& waiting = knocks_[event.door];
  if (waiting.size() == kMostWaiting) {
    ++lost_knocks_;
  } else {
    waiting.push_back(event);
  }
}

void Reporter::on_explanation(const Explanation& explanation) {
  if (explanations_.empty() && send(explanation)) return;
  if (explanations_.size() == kMostExplanations) {
    rate_.add_refused(1);
  } else {
    explanations_.push_back(explanation);
  }
}

void Reporter::flush() {
  while (!knocks_.empty()) {
    auto door = knocks_.lower_bound(next_door_);
    if (door == knocks_.end()) door = knocks_.begin();
    if (!send(door->second.front())) return;
    next_door_ = static_cast<DoorNumber>(door->first + 1);
    door->second.pop_front();
    if (door->second.empty()) knocks_.erase(door);
  }
  while (!explanations_.empty() && send(explanations_.front())) explanations_.pop_front();
}

std::optional<Instant> Reporter::report_due() const {
  if (rate_.refused() == 0 && lost_knocks_ == 0) return std::nullopt;
  return std::max(rate_.window_end(), next_report_);
}

void Reporter::report_left_out() {
  const uint64_t lines = rate_.take_refused();
  if ((lines != 0 || lost_knocks_ != 0) && !send(LeftOut{lines, lost_knocks_})) {
    rate_.add_refused(lines);
  } else {
    lost_knocks_ = 0;
  }
  // A keeper that has other things to do, or more to report.
  next_report_ = loop_.now() + std::chrono::seconds(1);
}

bool Reporter::send(const FromListener& message) const {
  // A channel that is closed has nobody behind it: the listener is about to end.
  return channel_.send(encode(message)) != Sent::kFull;
}

}  // namespace knockd
