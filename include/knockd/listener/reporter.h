// SPDX-License-Identifier: MIT
// Sends the tracker's events to the keeper and never waits for it: neither a slow keeper nor a
// flood at one door may block the listener for the other doors.
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

// When the channel is full, complete knocks wait, at most kMostWaiting of each door, and are sent
// round-robin by door. More are only counted. Other events that strangers can cause are limited to
// Log_Rate already here, so that a flood does not reach the keeper. Events of first knocks have
// their own limit, so that a flood of them hides no others. The keeper counts wrong codes: the
// first of each step are sent like complete knocks.
class Reporter : public TrackerSink {
 public:
  static constexpr size_t kMostWaiting = 64;
  static constexpr uint8_t kWrongCodesReported = kMostWrongCodes + 1;  // at least, of each door
  static constexpr size_t kMostExplanations = 4096;

  // `loop` and `channel` must outlive this. The owner watches the channel and calls flush() when it
  // is writable while waits() is true.
  Reporter(const Channel& channel, const EventLoop& loop, uint32_t log_rate, size_t doors);

  void on_event(const KnockEvent& event) override;
  void on_explanation(const Explanation& explanation) override;

  // Answers a StatusRequest with the counts of the doors since the last answer. Replaces an answer
  // that could not be sent yet.
  void answer(const ListenerStatus& status);

  // A new step of time resets the counts of wrong codes.
  void codes_changed() { std::ranges::fill(wrong_codes_, uint8_t{0}); }

  // Sends as much as the channel has room for.
  void flush();
  // What waits for room is sent no more, but for an answer.
  void drop_all() {
    knocks_.clear();
    explanations_.clear();
  }
  // Whether anything is waiting for room.
  bool waits() const { return !knocks_.empty() || answer_ || !explanations_.empty(); }

  // When report_left_out() is due; nothing if there is nothing to report.
  std::optional<Instant> report_due() const;
  void report_left_out();

 private:
  // One for events of an attempt's first knock, one for later ones.
  using Rates = std::array<RateLimit, 2>;

  bool send(const FromListener& message) const;
  void send_surely(const KnockEvent& event, bool may_be_lost);
  void count(const KnockEvent& event);
  bool send_counts();
  void send_event(const KnockEvent& event);
  uint64_t lines_left_out() const { return lines_[0].refused() + lines_[1].refused(); }

  const Channel& channel_;
  const EventLoop& loop_;
  Rates lines_;                                          // events that become log lines
  Rates wrong_;                                          // wrong knocks, which do not
  std::vector<DoorCount> counts_;                        // by door
  std::vector<uint8_t> wrong_codes_;                     // by door, in this step
  std::map<DoorNumber, std::deque<KnockEvent>> knocks_;  // no door without one
  DoorNumber next_door_ = 0;
  std::optional<ListenerStatus> answer_;  // waits for room
  size_t counts_sent_ = 0;                // doors of counts_ already sent for that answer
  std::deque<Explanation> explanations_;
  uint64_t lost_knocks_ = 0;
  Instant next_report_{};
};

}  // namespace knockd
