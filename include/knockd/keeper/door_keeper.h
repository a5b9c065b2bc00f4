// SPDX-License-Identifier: MIT
// Opens doors and sees to it that each is closed again: start command, state file, deadline, stop
// command. Told of knocks that were complete; knows nothing of packets.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/config/config.h"
#include "knockd/keeper/commands.h"
#include "knockd/keeper/state_file.h"
#include "knockd/knock/open_doors.h"

namespace knockd {

// A door with a stop command is open from before its start command runs until its stop command has
// run; all that time it is in the state file. Its time runs from the moment its start command does,
// which may have to wait for others.
//
// The stop command waits for a start command that still runs when the time is over, but not for
// long: one that hangs is overtaken. Since it may yet do its work, the stop command is then run
// once more when the start command has ended, and the door counts as open until then.
class DoorKeeper {
 public:
  // How a source is told in the log: its address, and its name where that is known.
  using NameSource = std::function<std::string(const IpAddress&)>;

  DoorKeeper(EventLoop& loop, Log& log, Commands& commands, NameSource name_source);

  // Opens the state file (empty: none is kept) and takes up what an earlier run left open.
  void take_up(const std::string& state_file);

  // OPEN SESAME: acts as the door and its Reknock say.
  void open(const Door& door, const IpAddress& source, const std::string& interface);

  // Runs the stop command of every open door now.
  void close_all();
  // Leaves the open doors to the next start.
  void leave();

  size_t open_doors() const { return doors_.size(); }

 private:
  void run_start(const Door& door, const IpAddress& source, const std::string& interface,
                 uint64_t opening);
  void start_begins(uint64_t id, Duration cmd_timeout);
  void start_has_ended(uint64_t id);
  void close_due();
  void close(uint64_t id, const char* why);
  void run_stop(const OpenDoor& door, const char* why);
  void stop_has_run(uint64_t id);
  void overtake_hanging();
  void set_alarms();
  void tell_complaints();

  EventLoop& loop_;
  Log& log_;
  Commands& commands_;
  NameSource name_source_;
  OpenDoors doors_;
  std::unique_ptr<StateFile> state_;
  uint64_t last_id_ = 0;
  // By the ids of openings:
  std::set<uint64_t> not_begun_;        // the start command waits for its turn
  std::map<uint64_t, int> stops_left_;  // closing: stop commands that have yet to run
  std::set<std::pair<Instant, uint64_t>> start_runs_;  // closing, but until when the stop waits
  std::set<uint64_t> overtaken_;                       // the start command hangs
  EventLoop::Alarm due_;
  EventLoop::Alarm hanging_;
  EventLoop::Alarm minute_;  // so that the state file knows how time passes
};

}  // namespace knockd
