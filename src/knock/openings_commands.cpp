// SPDX-License-Identifier: MIT
// The commands of openings, and what follows their end: see openings.h.
#include "knockd/knock/openings.h"

#include <algorithm>
#include <utility>

#include "knockd/knock/command_template.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// How long a stop command waits for a running start command.
constexpr Duration kPatience = seconds(1);
// A start command that begins later than this after the knock restarts the door's full time.
constexpr Duration kLate = milliseconds(100);
// The pause between attempts to run a command: doubles from the first to the longest.
constexpr Duration kFirstPause = milliseconds(50);
constexpr Duration kLongestPause = seconds(5);
constexpr uint8_t kMostDoublings = 7;

}  // namespace

void Openings::want_stop(uint64_t id, Why why, Instant now) {
  Opening& closing = opening(id);
  closing.why = why;
  closing.tries = 0;
  closing.stop_reported = false;
  set_alarm(id, std::nullopt);
  if (closing.let_in) {
    report_stop(closing);
    dismiss(id);
  }
  if (!closing.has_stop()) return is_undone(id);
  closing.state = State::kStopWaits;
  ++waiting_;
  arrange(id);
  const auto busy = lanes_.oldest(lane_of(closing), Part::kBusy);
  if (busy && opening(*busy).start_holds_lane()) {
    set_alarm(id, std::max(now, opening(*busy).began + kPatience));
  }
  offer(lane_of(closing));
}

// Without a stop command only its start command may remain, if it still runs.
void Openings::is_undone(uint64_t id) {
  Opening& undone = opening(id);
  undone.state = State::kStopped;
  arrange(id);
  if (!undone.start_runs) forget(id);
}

// Reports why it is closed, once.
void Openings::report_stop(Opening& opening) {
  if (std::exchange(opening.stop_reported, true)) return;
  say(LogLevel::kNotice, opening, why_closed(opening));
}

std::string Openings::why_closed(const Opening& opening) {
  if (opening.why == Why::kStartEnded) return start_ended_text();
  if (opening.why == Why::kShutdown) return shutting_down_text();
  if (!opening.by_hand) return command_timeout_text();
  return opening.closed_at.empty() ? closed_by_hand_text(opening.uid)
                                   : closed_by_gateway_text(opening.closed_at.get());
}

Happened::By Openings::closed_by(const Opening& opening) {
  using By = Happened::By;
  if (opening.by_hand) return opening.closed_at.empty() ? By::kHand : By::kFleet;
  return opening.why == Why::kShutdown ? By::kShutdown : By::kTime;
}

// Lets the lane's stops overtake a hung start command.
void Openings::overtake(const Lane& lane) {
  const auto busy = lanes_.oldest(lane, Part::kBusy);
  if (!busy || !opening(*busy).start_holds_lane()) return;
  Opening& hanging = opening(*busy);
  hanging.holds_lane = false;
  hanging.overtaken = true;
  arrange(*busy);
  ++overtaken_;
  starts_.give_back(hanging.line);
  say(LogLevel::kWarning, hanging, still_running_text());
}

// Queues the lane's next command, if none runs: the oldest stop, else the oldest start. A stop
// replaces a queued start.
void Openings::offer(const Lane& lane) {
  if (lanes_.oldest(lane, Part::kBusy)) return;
  const auto stop = lanes_.oldest(lane, Part::kStops);
  const auto start = lanes_.oldest(lane, Part::kStarts);
  if (stop && start) withdraw(*start);
  const auto next = stop ? stop : start;
  if (!next) return;
  Opening& offered = opening(*next);
  if (offered.queued) return;
  if (offered.tries != 0 && offered.alarm) return;  // waits for its next try, and blocks the others
  set_alarm(*next, std::nullopt);
  offered.queued = true;
  arrange(*next);
  (stop ? stops_ : starts_).add(offered.line, *next);
}

void Openings::withdraw(uint64_t id) {
  Opening& queued = opening(id);
  if (!std::exchange(queued.queued, false)) return;
  starts_.remove(queued.line, id);
}

void Openings::run_what_can(Instant now) {
  bool begun = false;
  while (const auto id = stops_.take()) {
    stop_begins(*id);
    begun = true;
  }
  while (const auto id = starts_.take()) {
    start_begins(*id, now);
    begun = true;
  }
  if (stops_.waiting() + starts_.waiting() == 0) {
    stuck_since_.reset();
  } else if (begun || !stuck_since_) {
    stuck_since_ = now;
    stuck_reported_ = false;
  }
}

// Otherwise commands that never end could silently keep doors shut.
void Openings::report_stuck() {
  stuck_reported_ = true;
  const CommandQueue& queue = stops_.waiting() != 0 ? stops_ : starts_;
  for (const auto& [door, use] : doors_) {
    if (use.line() != queue.next_line()) continue;
    actions_.emplace_back(
        Say{LogLevel::kWarning, {}, stuck_line(door, queue.running(), kStuckAfter)});
  }
}

void Openings::start_begins(uint64_t id, Instant now) {
  Opening& starting = opening(id);
  const Terms& terms = *starting.terms;
  starting.queued = false;
  if (starting.is_of_fleet && starting.deadline <= now) {
    const Lane lane = lane_of(starting);
    starts_.give_back(starting.line);
    report_stop(starting);
    drop(id);
    return offer(lane);
  }
  starting.state = State::kStartRuns;
  starting.start_runs = starting.holds_lane = true;
  arrange(id);
  starting.began = now;
  use_of(terms.door).remove_start(starting.source);
  --waiting_;
  if (starting.has_something_to_undo()) {
    // An opening of the fleet ends everywhere at once.
    if (!starting.is_of_fleet && now + terms.open_for > starting.deadline + kLate) {
      starting.deadline = now + terms.open_for;
      starting.gateway.clear();
      if (starting.let_in) admit(id, false);
      record(id, false);
    }
    set_alarm(id, starting.deadline);
  }
  const auto source = starting.is_knock ? std::optional(starting.source) : std::nullopt;
  actions_.emplace_back(
      RunCommand{id, CommandKind::kStart, terms.door, source, starting.interface,
                 source ? render_command(terms.start, *source, terms.prefix) : terms.start,
                 starting.tries != 0, starting.user.get()});
}

void Openings::stop_begins(uint64_t id) {
  Opening& stopping = opening(id);
  const Terms& terms = *stopping.terms;
  stopping.state = State::kStopRuns;
  stopping.queued = false;
  stopping.holds_lane = true;
  arrange(id);
  stopping.stop_again = false;
  lacking_.erase(id);
  --waiting_;
  report_stop(stopping);
  actions_.emplace_back(RunCommand{id, CommandKind::kStop, terms.door, stopping.source,
                                   stopping.interface,
                                   render_command(terms.stop, stopping.source, terms.prefix),
                                   stopping.tries != 0, stopping.user.get()});
}

void Openings::ended(uint64_t id, CommandKind kind, bool failed, Instant now) {
  // The ended process leaves room for another: a waiting stop gets it before any start.
  if (!lacking_.empty()) {
    const uint64_t stop = *lacking_.begin();
    set_alarm(stop, std::nullopt);
    offer(lane_of(opening(stop)));
  }
  is_over(id, kind, failed, now);
}

// Handles a command that has ended or can never run.
void Openings::is_over(uint64_t id, CommandKind kind, bool failed, Instant now) {
  Opening& running = opening(id);
  const Lane lane = lane_of(running);
  // A stop that waits for its next try keeps waiting when its start ends.
  if (kind == CommandKind::kStop || running.state == State::kStartRuns) running.tries = 0;
  if (kind == CommandKind::kStart) {
    running.start_failed = failed;
    if (std::exchange(running.overtaken, false)) {
      --overtaken_;
    } else {
      starts_.give_back(running.line);
    }
    start_ended(id, now);
  } else {
    stops_.give_back(running.line);
    stop_ended(id, now);
  }
  if (openings_.contains(id)) arrange(id);
  offer(lane);
  run_what_can(now);
}

void Openings::start_ended(uint64_t id, Instant now) {
  Opening& started = opening(id);
  started.start_runs = false;
  switch (started.state) {
    case State::kStartRuns:
      started.holds_lane = false;
      if (!started.has_something_to_undo()) return remove(id);
      started.state = State::kOpen;
      return;
    case State::kStopRuns:  // its stop holds the lane
      started.stop_again = true;
      return;
    case State::kStopped:
      if (!started.has_stop()) {
        started.holds_lane = false;
        return is_undone(id);
      }
      return want_stop(id, Why::kStartEnded, now);
    default:  // its stop waits
      started.holds_lane = false;
      return;
  }
}

void Openings::stop_ended(uint64_t id, Instant now) {
  Opening& stopped = opening(id);
  stopped.holds_lane = false;
  if (stopped.start_runs) {
    stopped.state = State::kStopped;
  } else if (std::exchange(stopped.stop_again, false)) {
    want_stop(id, Why::kStartEnded, now);
  } else {
    forget(id);
  }
}

void Openings::could_not_run(uint64_t id, CommandKind kind, std::string_view reason, bool again,
                             Instant now) {
  Opening& failed = opening(id);
  if (!again || failed.tries == 0) {
    actions_.emplace_back(
        Say{LogLevel::kError, {}, could_not_run_line(failed.terms->door, reason, again)});
  }
  const bool overtaken = kind == CommandKind::kStart && failed.state > State::kStopWaits;
  if (!again || overtaken) return is_over(id, kind, true, now);
  const Lane lane = lane_of(failed);
  if (failed.state != State::kStopWaits) ++waiting_;  // else its stop waits already
  failed.holds_lane = false;
  if (kind == CommandKind::kStop) {
    stops_.give_back(failed.line);
    failed.state = State::kStopWaits;
    lacking_.insert(id);
  } else {
    starts_.give_back(failed.line);
    failed.state = State::kStartWaits;
    failed.start_runs = false;
    use_of(failed.terms->door).add_start(failed.source);
  }
  arrange(id);
  const Duration pause = kFirstPause * (1 << failed.tries);
  failed.tries = std::min<uint8_t>(static_cast<uint8_t>(failed.tries + 1), kMostDoublings);
  set_alarm(id, now + std::min(pause, kLongestPause));
  if (leaving_ && failed.is_knock && failed.state == State::kStartWaits) {
    failed.why = Why::kShutdown;
    drop(id);
  }
  offer(lane);
  run_what_can(now);
}

}  // namespace knockd
