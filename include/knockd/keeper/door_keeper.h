// SPDX-License-Identifier: MIT
// Opens doors and sees to it that each is closed again: start command, state file, deadline, stop
// command. Told of knocks that were complete; knows nothing of packets.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/config/config.h"
#include "knockd/keeper/commands.h"
#include "knockd/keeper/state_file.h"
#include "knockd/knock/open_doors.h"

namespace knockd {

// A door with a stop command is open from before its start command runs until its stop command has
// run; all that time it is in the state file.
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
  void close_due();
  void close(uint64_t id, const char* why);
  void run_start(const Door& door, const IpAddress& source, const std::string& interface,
                 uint64_t opening);
  void stop_has_run(uint64_t id);
  void set_alarms();
  void tell_complaints();

  EventLoop& loop_;
  Log& log_;
  Commands& commands_;
  NameSource name_source_;
  OpenDoors doors_;
  std::unique_ptr<StateFile> state_;
  uint64_t last_id_ = 0;
  EventLoop::Alarm due_;
  EventLoop::Alarm minute_;  // so that the state file knows how time passes
};

}  // namespace knockd
