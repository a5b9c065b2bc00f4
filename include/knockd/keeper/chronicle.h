// SPDX-License-Identifier: MIT
// Events since the daemon started: counts of each door, the last attempts that opened nothing, and
// events for followers.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "knockd/base/event_loop.h"
#include "knockd/base/rate_limit.h"
#include "knockd/code/used_codes.h"
#include "knockd/control/happening.h"
#include "knockd/control/status_report.h"
#include "knockd/keeper/door_keeper.h"
#include "knockd/message/messages.h"

namespace knockd {

class Chronicle : public DoorWatcher {
 public:
  class Follower {
   public:
    virtual ~Follower() = default;
    virtual void on_happening(const Happening& happening) = 0;
    virtual void on_command_ended(const CommandEnd& end) = 0;
    virtual void on_not_shut(uint64_t opening) = 0;
  };

  explicit Chronicle(const EventLoop& loop) : loop_(loop) {}
  // Must outlive this.
  void set_follower(Follower& follower) { follower_ = &follower; }

  // An event from a listener, except openings. `expected`: the next knock, if there is one.
  void heard(const KnockEvent& event, const std::string& door, const std::string& interface,
             std::optional<Knock> expected);
  // Counts of listeners since they were last asked.
  void add(const std::string& door, const DoorCount& count);
  // A complete knock whose code was refused.
  void code_refused(const CompleteKnock& knock, const std::string& door, const std::string& why);
  // A code is used up: for this knock, or (0) for none.
  void code_used(uint64_t opening, const std::string& door, const std::string& user,
                 const CodeKnock& knock);
  void on_happened(const Happened& happened) override;
  void on_command_ended(const CommandEnd& end) override;
  void on_not_shut(uint64_t opening) override;
  void reloaded(bool taken);
  // `waits_because` is empty if a listener runs.
  void interface_changed(const std::string& name, const std::string& waits_because);

  DoorTotals totals(const std::string& door) const;
  const FailedAttempts& attempts() const { return attempts_; }
  // The wall time of a moment by the boot clock.
  WallTime wall_time(Instant when) const;

 private:
  void tell(Happening happening);

  const EventLoop& loop_;
  Follower* follower_ = nullptr;
  std::map<std::string, DoorTotals> totals_;
  FailedAttempts attempts_;
  // A flood can cause refusals: all are counted, but events are limited.
  RateLimit refusals_{kDefaultLogRate};
};

}  // namespace knockd
