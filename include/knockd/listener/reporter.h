// SPDX-License-Identifier: MIT
// Sends what the tracker finds to the keeper, and never waits for it: a keeper that is slow, or a
// flood at one door, must not make the listener deaf for the others.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "knockd/base/event_loop.h"
#include "knockd/base/rate_limit.h"
#include "knockd/knock/tracker.h"
#include "knockd/message/channel.h"
#include "knockd/message/messages.h"

namespace knockd {

// Complete knocks that the channel has no room for wait, at most kMostWaiting of each door, and are
// sent by turns of the doors. More are counted. What else strangers cause is held to the log's rate
// here already, so that a flood does not reach the keeper.
class Reporter : public TrackerSink {
 public:
  static constexpr size_t kMostWaiting = 64;
  static constexpr size_t kMostExplanations = 4096;

  // `loop` and `channel` must outlive this; the owner watches the channel and calls flush() when it
  // can be written while waits() is true.
  Reporter(const Channel& channel, const EventLoop& loop, uint32_t log_rate)
      : channel_(channel), loop_(loop), rate_(log_rate) {}

  void on_event(const KnockEvent& event) override;
  void on_explanation(const Explanation& explanation) override;

  // Sends what there is room for.
  void flush();
  // Whether something waits for room.
  bool waits() const { return !knocks_.empty() || !explanations_.empty(); }

  // When report_left_out() has something to do; nothing if it has not.
  std::optional<Instant> report_due() const;
  void report_left_out();

 private:
  bool send(const FromListener& message) const;

  const Channel& channel_;
  const EventLoop& loop_;
  RateLimit rate_;
  std::map<DoorNumber, std::deque<KnockEvent>> knocks_;  // no door without one
  DoorNumber next_door_ = 0;
  std::deque<Explanation> explanations_;
  uint64_t lost_knocks_ = 0;
  Instant next_report_{};
};

}  // namespace knockd
