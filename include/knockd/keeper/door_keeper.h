// SPDX-License-Identifier: MIT
// Carries out the actions of `Openings`: runs commands, keeps the state file, marks one-time
// sequences, writes log lines. Reports to it passed time and ended commands.
#pragma once

#include <sys/types.h>

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/log.h"
#include "knockd/base/result.h"
#include "knockd/keeper/admitter.h"
#include "knockd/keeper/commands.h"
#include "knockd/keeper/state_file.h"
#include "knockd/knock/openings.h"

namespace knockd {

using CommandEnd = Commands::Ended;

// Receives events of openings; must not call back.
class DoorWatcher {
 public:
  virtual ~DoorWatcher() = default;
  virtual void on_happened(const Happened& happened) = 0;
  // The command of an opening ended, whether by a knock or by hand.
  virtual void on_command_ended(const CommandEnd& end) = 0;
  // The opening could not be undone; it lasts until its time is over.
  virtual void on_not_shut(uint64_t opening) = 0;
};

// The results of opening and closing by hand.
struct OpenedByHand {
  uint64_t id = 0;
  bool runs_start = false;  // its start command has not ended
  std::string text;         // "ssh is open to 192.0.2.7 for 3600 s"
};
struct ClosedByHand {
  size_t count = 0;
  std::vector<uint64_t> running;  // with a stop command that has not ended
  size_t not_shut = 0;            // so far
};

// Records of a turn of the loop are written at its end, with one write for all knocks; then their
// start commands begin.
class DoorKeeper {
 public:
  // A source in the log: its address, and its name if known.
  using NameSource = std::function<std::string(const IpAddress&)>;
  // Marks a one-time sequence as used on disk; answers with sequence_used(), now or later.
  using UseSequenceOf = std::function<void(const UseSequence& use)>;
  // Whether another line that strangers can cause may be logged now; refused ones are counted.
  using MayLog = std::function<bool()>;

  DoorKeeper(EventLoop& loop, Log& log, CommandRunner& runner, Admitter& admitter,
             NameSource name_source, UseSequenceOf use_sequence, MayLog may_log,
             FileCalls& calls = FileCalls::real());

  // Opens the state file (empty: none) and takes over the openings of an earlier run.
  void take_up(const std::string& state_file);

  // After a reload: keeps open doors in this state file. If it cannot be used, logs an error and
  // keeps the previous one.
  void change_state_file(const std::string& path);

  // OPEN SESAME: opens the door.
  void knocked(const CompleteKnock& knock);
  // The answer to UseSequenceOf. `used`: the mark is on disk; else nothing opens.
  void sequence_used(uint64_t opening, bool used);
  // By hand; on disk when this returns. `user`: the uid of the caller. The error is one line.
  Result<OpenedByHand> open_by_hand(const CompleteKnock& knock, uint32_t user);
  ClosedByHand close_by_hand(const Selection& selection, uint32_t user);
  // The same on request of a gateway of the fleet.
  Result<OpenedByHand> open_by_gateway(const CompleteKnock& knock);
  ClosedByHand close_by_gateway(const Selection& selection, const std::string& gateway);
  // A command without a knock (On_Start, On_Stop).
  void run(const std::string& name, const std::string& command);
  // To be called for each child that has ended. False: not started here.
  bool child_ended(pid_t pid, int status);

  // Ignores knocks from now on and drops starts that have not begun. `close`: closes some open
  // doors in each call; true if some are left and it must be called again. Without it open doors
  // are left to the next start.
  bool shut_down(bool close);
  // Writes all pending records.
  void leave();

  // Must outlive this.
  void set_watcher(DoorWatcher& watcher) { watcher_ = &watcher; }

  const Openings& openings() const { return openings_; }
  size_t open_doors() const { return openings_.open(); }
  size_t running() const { return commands_.running(); }
  bool runs_command_of(const std::string& name) const { return commands_.runs_of(name); }
  size_t waiting() const { return openings_.waiting(); }

 private:
  Result<OpenedByHand> opened(const CompleteKnock& knock, const Openings::ByHand& by_hand);
  ClosedByHand closed(std::vector<uint64_t> ids);
  void take_up(const std::vector<OpenDoor>& doors);
  void settle();
  void carry_out();
  void carry_out(const Say& say);
  void write_lines();
  void carry_out(const UseSequence& use);
  void carry_out(const Admit& admit);
  void carry_out(const Dismiss& dismiss);
  void dismiss_in_a_row(const std::vector<Action>& actions, size_t first);
  void carry_out(const Record& record);
  void carry_out(const Forget& forget);
  void carry_out(const RunCommand& run);
  void carry_out(const Happened& happened);
  void report_end(const CommandEnd& end);
  void flush();
  Moment moment() const;
  void set_alarms();

  EventLoop& loop_;
  Log& log_;
  Commands commands_;
  Admitter& admitter_;
  NameSource name_source_;
  UseSequenceOf use_sequence_;
  MayLog may_log_;
  FileCalls& calls_;
  DoorWatcher* watcher_ = nullptr;
  std::string refused_;  // why the last source was not let in
  size_t not_shut_ = 0;  // of the last close by hand
  Openings openings_;
  std::unique_ptr<StateFile> state_;
  bool carries_out_ = false;
  std::vector<const Say*> unwritten_;     // of the current actions
  std::list<std::string> not_dismissed_;  // results of a row, not yet reported
  EventLoop::Alarm next_;                 // of the openings
  EventLoop::Alarm minute_;               // so that the state file knows how time passes
  EventLoop::Alarm settle_;               // at the end of this turn
  GrowingPause pause_;  // between attempts to use a state file that cannot be used
};

}  // namespace knockd
