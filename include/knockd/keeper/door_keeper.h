// SPDX-License-Identifier: MIT
// Carries out what `Openings` wants done: runs commands, keeps the state file, marks one-time
// sequences, writes the log lines, and lets it know of time and of commands that have ended.
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

// Receives what happens to openings; must not call back.
class DoorWatcher {
 public:
  virtual ~DoorWatcher() = default;
  virtual void on_happened(const Happened& happened) = 0;
  // Of an opening's command, by a knock or by hand.
  virtual void on_command_ended(const CommandEnd& end) = 0;
  // What was opened to this one stays so until its time is over.
  virtual void on_not_shut(uint64_t opening) = 0;
};

// The results of opening and closing by hand.
struct OpenedByHand {
  uint64_t id = 0;
  bool runs_start = false;  // its start command is still to end
  std::string text;         // "ssh is open to 192.0.2.7 for 3600 s"
};
struct ClosedByHand {
  size_t count = 0;
  std::vector<uint64_t> running;  // of those whose stop command is still to end
  size_t not_shut = 0;            // so far
};

// What is recorded in a turn of the loop is written at its end, by one call to the disk for all
// knocks of the turn; then their start commands begin.
class DoorKeeper {
 public:
  // How a source is shown in the log: its address, and its name where that is known.
  using NameSource = std::function<std::string(const IpAddress&)>;
  // Marks a one-time sequence as used, on disk; answers with sequence_used(), now or later.
  using UseSequenceOf = std::function<void(const UseSequence& use)>;
  // Whether one more line that strangers can cause may be logged now; one that may not is counted.
  using MayLog = std::function<bool()>;

  DoorKeeper(EventLoop& loop, Log& log, CommandRunner& runner, Admitter& admitter,
             NameSource name_source, UseSequenceOf use_sequence, MayLog may_log,
             FileCalls& calls = FileCalls::real());

  // Opens the state file (empty: none is kept) and takes up what an earlier run left open.
  void take_up(const std::string& state_file);

  // After a reload: keeps open doors in this state file. Where that cannot be used, the one before
  // stays in use, and an error says so.
  void change_state_file(const std::string& path);

  // OPEN SESAME: acts as the door says.
  void knocked(const CompleteKnock& knock);
  // The answer to UseSequenceOf. `used`: it is on disk. Else nothing opens.
  void sequence_used(uint64_t opening, bool used);
  // By hand; on disk when this returns. `user`: the uid of the caller. The error is one line.
  Result<OpenedByHand> open_by_hand(const CompleteKnock& knock, uint32_t user);
  ClosedByHand close_by_hand(const Selection& selection, uint32_t user);
  // The same by the word of a gateway of the fleet.
  Result<OpenedByHand> open_by_gateway(const CompleteKnock& knock);
  ClosedByHand close_by_gateway(const Selection& selection, const std::string& gateway);
  // A command without a knock (On_Start, On_Stop).
  void run(const std::string& name, const std::string& command);
  // To be called for each child that has ended. False: it was none of ours.
  bool child_ended(pid_t pid, int status);

  // Ignores knocks from now on, and drops starts that have not begun. `close`: closes open doors, a
  // part of them in each call; true if some are left, and it must be called again. Otherwise open
  // doors are left to the next start.
  bool shut_down(bool close);
  // Writes what is still to be written.
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
  std::string refused_;  // why somebody was not let in, last
  size_t not_shut_ = 0;  // of those that were closed by hand last
  Openings openings_;
  std::unique_ptr<StateFile> state_;
  bool carries_out_ = false;
  std::vector<const Say*> unwritten_;     // of the actions that are being carried out
  std::list<std::string> not_dismissed_;  // the answers of those of a row that are still to be said
  EventLoop::Alarm next_;                 // of the openings
  EventLoop::Alarm minute_;               // so that the state file knows how time passes
  EventLoop::Alarm settle_;               // at the end of this turn
  GrowingPause pause_;  // between attempts to use a state file that cannot be used
};

}  // namespace knockd
