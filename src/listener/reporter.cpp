// SPDX-License-Identifier: MIT
#include "knockd/listener/reporter.h"

#include <algorithm>

namespace knockd {

Reporter::Reporter(const Channel& channel, const EventLoop& loop, uint32_t log_rate, size_t doors)
    : channel_(channel),
      loop_(loop),
      lines_{RateLimit(log_rate), RateLimit(log_rate)},
      wrong_(lines_),
      counts_(doors),
      wrong_codes_(doors) {
  for (size_t door = 0; door < doors; ++door) counts_[door].door = static_cast<DoorNumber>(door);
}

void Reporter::on_event(const KnockEvent& event) {
  count(event);
  if (event.kind == EventKind::kOpen) {
    KnockEvent open = event;
    open.wrong_codes_untold = wrong_codes_[event.door] == kWrongCodesReported ? 1 : 0;
    return send_surely(open, true);
  }
  if (event.kind == EventKind::kWrongCode && wrong_codes_[event.door] < kWrongCodesReported) {
    ++wrong_codes_[event.door];
    return send_surely(event, false);
  }
  send_event(event);
}

void Reporter::send_surely(const KnockEvent& event, bool may_be_lost) {
  if (knocks_.empty() && send(event)) return;
  auto& waiting = knocks_[event.door];
  if (waiting.size() >= kMostWaiting && may_be_lost) {
    ++lost_knocks_;
  } else {
    waiting.push_back(event);
  }
}

void Reporter::count(const KnockEvent& event) {
  DoorCount& counts = counts_[event.door];
  switch (event.kind) {
    case EventKind::kStage:
    case EventKind::kOpen:
      if (event.stage == 1) ++counts.begun;
      return;
    case EventKind::kTimeout:
      ++counts.timed_out;
      return;
    case EventKind::kWrong:
    case EventKind::kWrongCode:
      ++counts.wrong;
      return;
    case EventKind::kScan:
      ++counts.discarded;
      return;
  }
}

void Reporter::send_event(const KnockEvent& event) {
  const bool is_line = event.kind != EventKind::kWrong && event.kind != EventKind::kWrongCode;
  Rates& rates = is_line ? lines_ : wrong_;
  RateLimit& rate = rates[event.stage == 1 ? 0 : 1];
  if (rate.allow(loop_.now()) && !send(event)) rate.add_refused(1);
}

void Reporter::on_explanation(const Explanation& explanation) {
  if (explanations_.empty() && send(explanation)) return;
  if (explanations_.size() == kMostExplanations) {
    lines_[0].add_refused(1);
  } else {
    explanations_.push_back(explanation);
  }
}

void Reporter::answer(const ListenerStatus& status) {
  if (!answer_) counts_sent_ = 0;
  answer_ = status;
  flush();
}

// Returns whether all counts are sent.
bool Reporter::send_counts() {
  while (counts_sent_ < counts_.size()) {
    DoorCounts part;
    size_t door = counts_sent_;
    for (; door < counts_.size() && part.count < DoorCounts::kMost; ++door) {
      if (counts_[door] != DoorCount{counts_[door].door}) part.doors[part.count++] = counts_[door];
    }
    if (part.count != 0 && !send(part)) return false;
    for (; counts_sent_ < door; ++counts_sent_) {
      counts_[counts_sent_] = {counts_[counts_sent_].door};
    }
  }
  return true;
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
  if (answer_) {
    if (!send_counts() || !send(*answer_)) return;
    answer_.reset();
  }
  while (!explanations_.empty() && send(explanations_.front())) explanations_.pop_front();
}

std::optional<Instant> Reporter::report_due() const {
  if (lines_left_out() == 0 && lost_knocks_ == 0) return std::nullopt;
  return std::max({lines_[0].window_end(), lines_[1].window_end(), next_report_});
}

void Reporter::report_left_out() {
  const uint64_t lines = lines_[0].take_refused() + lines_[1].take_refused();
  if ((lines != 0 || lost_knocks_ != 0) && !send(LeftOut{lines, lost_knocks_})) {
    lines_[0].add_refused(lines);
  } else {
    lost_knocks_ = 0;
  }
  // The keeper is busy, or there is more to report.
  next_report_ = loop_.now() + std::chrono::seconds(1);
}

bool Reporter::send(const FromListener& message) const {
  // A closed channel counts as sent: without a keeper the listener is about to end.
  return channel_.send(encode(message)) != Sent::kFull;
}

}  // namespace knockd
