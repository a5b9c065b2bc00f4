// SPDX-License-Identifier: MIT
// Sends what the tracker finds to the keeper, and never waits for it: a keeper that is slow, or a
// flood at one door, must not make the listener deaf for the others.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/rate_limit.h"
#include "knockd/knock/tracker.h"
#include "knockd/message/channel.h"
#include "knockd/message/messages.h"

namespace knockd {

// Complete knocks that the channel has no room for wait, at most kMostWaiting of each door, and are
// sent by turns of the doors. More are counted. Other events that strangers can cause are limited
// to Log_Rate here already, so that a flood does not reach the keeper. Events of first knocks have
// a limit of their own, so that a flood of them hides no others. The keeper counts wrong codes: the
// first of each step are sent like complete knocks.
class Reporter : public TrackerSink {
 public:
  static constexpr size_t kMostWaiting = 64;
  static constexpr uint8_t kWrongCodesReported = kMostWrongCodes + 1;  // at least, of each door
  static constexpr size_t kMostExplanations = 4096;

  // `loop` and `channel` must outlive this; the owner watches the channel and calls flush() when it
  // can be written while waits() is true.
  Reporter(const Channel& channel, const EventLoop& loop, uint32_t log_rate, size_t doors);

  void on_event(const KnockEvent& event) override;
  void on_explanation(const Explanation& explanation) override;

  // Answers a StatusRequest, with what happened at the doors since the last answer. One that could
  // not be sent yet is replaced.
  void answer(const ListenerStatus& status);

  // A new step of time: wrong codes count anew.
  void codes_changed() { std::ranges::fill(wrong_codes_, uint8_t{0}); }

  // Sends what there is room for.
  void flush();
  // What waits for room is sent no more, but for an answer.
  void drop_all() {
    knocks_.clear();
    explanations_.clear();
  }
  // Whether something waits for room.
  bool waits() const { return !knocks_.empty() || answer_ || !explanations_.empty(); }

  // When report_left_out() has something to do; nothing if it has not.
  std::optional<Instant> report_due() const;
  void report_left_out();

 private:
  // Of events of the first knock of an attempt, and of later ones.
  using Rates = std::array<RateLimit, 2>;

  bool send(const FromListener& message) const;
  void send_surely(const KnockEvent& event, bool may_be_lost);
  void count(const KnockEvent& event);
  bool send_counts();
  void send_event(const KnockEvent& event);
  uint64_t lines_left_out() const { return lines_[0].refused() + lines_[1].refused(); }

  const Channel& channel_;
  const EventLoop& loop_;
  Rates lines_;                                          // events that are lines of the log
  Rates wrong_;                                          // wrong knocks, which are not
  std::vector<DoorCount> counts_;                        // by door
  std::vector<uint8_t> wrong_codes_;                     // by door, in this step
  std::map<DoorNumber, std::deque<KnockEvent>> knocks_;  // no door without one
  DoorNumber next_door_ = 0;
  std::optional<ListenerStatus> answer_;  // waits for room
  size_t counts_sent_ = 0;                // doors of counts_ that are part of that answer already
  std::deque<Explanation> explanations_;
  uint64_t lost_knocks_ = 0;
  Instant next_report_{};
};

}  // namespace knockd
