// SPDX-License-Identifier: MIT
#include "knockd/keeper/door_keeper.h"

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/keeper/moment.h"
#include "knockd/knock/command_template.h"

namespace knockd {
namespace {

constexpr Duration kTimeMark = std::chrono::minutes(1);
// A start command may run this long, or for Cmd_Timeout if that is longer, before it hangs.
constexpr Duration kPatience = std::chrono::seconds(1);
// A start command that begins later than this after the knock gives the door its full time anew.
constexpr Duration kLate = std::chrono::milliseconds(100);
// How often it is looked whether a start command that waits has begun at last.
constexpr Duration kPutOff = std::chrono::seconds(1);

// Commands of one door and source must not overtake each other.
std::string lane_of(const std::string& door, const IpAddress& source) {
  return source.to_string() + ' ' + door;
}

Command command_of(const std::string& door, const IpAddress& source, const std::string& interface,
                   const char* event, std::string text) {
  Command command;
  command.lane = lane_of(door, source);
  command.name = door;
  command.text = std::move(text);
  command.environment = {{"KNOCKD_IP", source.to_string()},
                         {"KNOCKD_DOOR", door},
                         {"KNOCKD_INTERFACE", interface},
                         {"KNOCKD_EVENT", event}};
  return command;
}

}  // namespace

DoorKeeper::DoorKeeper(EventLoop& loop, Log& log, Commands& commands, NameSource name_source)
    : loop_(loop),
      log_(log),
      commands_(commands),
      name_source_(std::move(name_source)),
      due_(loop, [this] { close_due(); }),
      hanging_(loop, [this] { overtake_hanging(); }),
      minute_(loop, [this] {
        state_->passed(Moment::now());
        set_alarms();
      }) {}

void DoorKeeper::take_up(const std::string& state_file) {
  state_ = std::make_unique<StateFile>(state_file, read_boot_id(), doors_);
  for (OpenDoor& door : state_->open(Moment::now())) {
    last_id_ = std::max(last_id_, door.id);
    doors_.open(std::move(door));
  }
  tell_complaints();
  if (doors_.size() != 0) {
    log_.notice(format("%zu doors are open since an earlier run", doors_.size()));
  }
  loop_.refresh_clock();  // what is overdue is due as of when the file was read
  close_due();
}

void DoorKeeper::open(const Door& door, const IpAddress& source, const std::string& interface) {
  // Many knocks may come in one turn, and each is written to disk: the last must not be shut early.
  loop_.refresh_clock();
  const std::string& stop = door.stop_command_for(source);
  if (stop.empty()) return run_start(door, source, interface, 0);

  const OpenDoor* const open = doors_.find(door.name, source);
  if (open != nullptr && door.reknock == Reknock::kIgnore) {
    log_.notice(format("%s: %s: already open", name_source_(source).c_str(), door.name.c_str()));
    return;
  }
  const Instant deadline = loop_.now() + door.cmd_timeout;
  if (open != nullptr && door.reknock == Reknock::kExtend) {
    log_.notice(format("%s: %s: already open, time extended", name_source_(source).c_str(),
                       door.name.c_str()));
    doors_.extend(open->id, deadline);
    state_->extended(*open, Moment::now());
  } else {
    const uint64_t id = ++last_id_;
    doors_.open({id, door.name, source, interface, render_command(stop, source), deadline});
    state_->opened(*doors_.find(id), Moment::now());
    run_start(door, source, interface, id);
  }
  tell_complaints();
  set_alarms();
}

void DoorKeeper::run_start(const Door& door, const IpAddress& source, const std::string& interface,
                           uint64_t opening) {
  const std::string& start = door.start_command_for(source);
  if (start.empty()) return;
  Command command =
      command_of(door.name, source, interface, "start", render_command(start, source));
  if (opening != 0) {
    command.opening = opening;
    command.begin = [this, opening, timeout = door.cmd_timeout] { start_begins(opening, timeout); };
    command.ended = [this, opening] { start_has_ended(opening); };
    not_begun_.insert(opening);
  }
  commands_.run(std::move(command));
}

void DoorKeeper::start_begins(uint64_t id, Duration cmd_timeout) {
  not_begun_.erase(id);
  const OpenDoor* const door = doors_.find(id);
  loop_.refresh_clock();
  if (door == nullptr || loop_.now() + cmd_timeout <= door->deadline + kLate) return;
  doors_.extend(id, loop_.now() + cmd_timeout);
  state_->extended(*door, Moment::now());
  tell_complaints();
  set_alarms();
}

void DoorKeeper::start_has_ended(uint64_t id) {
  if (overtaken_.erase(id) != 0) run_stop(*doors_.find(id), "the start command has ended");
}

void DoorKeeper::close_due() {
  for (const uint64_t id : doors_.due(loop_.now())) {
    if (not_begun_.contains(id)) {
      doors_.reopen(id, loop_.now() + kPutOff);
    } else {
      close(id, "command timeout");
    }
  }
  set_alarms();
}

void DoorKeeper::close_all() {
  for (const uint64_t id : doors_.all_due()) close(id, "closing, knockd is shutting down");
  set_alarms();
}

void DoorKeeper::leave() {
  if (state_ && doors_.size() != 0) state_->passed(Moment::now());
}

void DoorKeeper::close(uint64_t id, const char* why) {
  const OpenDoor& door = *doors_.find(id);
  run_stop(door, why);
  if (const auto since = commands_.running_since(lane_of(door.door, door.source), id)) {
    start_runs_.emplace(*since + kPatience, id);
  }
}

void DoorKeeper::run_stop(const OpenDoor& door, const char* why) {
  Command command = command_of(door.door, door.source, door.interface, "stop", door.stop_command);
  command.begin = [this, why, id = door.id, told = false]() mutable {
    const OpenDoor* const closing = doors_.find(id);
    if (closing == nullptr || std::exchange(told, true)) return;
    log_.notice(
        format("%s: %s: %s", name_source_(closing->source).c_str(), closing->door.c_str(), why));
  };
  command.ended = [this, id = door.id] { stop_has_run(id); };
  ++stops_left_[door.id];
  commands_.run(std::move(command));
}

void DoorKeeper::stop_has_run(uint64_t id) {
  if (--stops_left_[id] != 0 || overtaken_.contains(id)) return;
  stops_left_.erase(id);
  const OpenDoor door = *doors_.find(id);
  doors_.closed(id);
  state_->closed(door, Moment::now());
  tell_complaints();
  set_alarms();
}

void DoorKeeper::overtake_hanging() {
  while (!start_runs_.empty() && start_runs_.begin()->first <= loop_.now()) {
    const uint64_t id = start_runs_.begin()->second;
    start_runs_.erase(start_runs_.begin());
    const OpenDoor* const door = doors_.find(id);
    if (door == nullptr) continue;
    const std::string lane = lane_of(door->door, door->source);
    if (!commands_.running_since(lane, id)) continue;
    log_.warning(format("%s: %s: the start command is still running; running the stop command",
                        name_source_(door->source).c_str(), door->door.c_str()));
    overtaken_.insert(id);
    commands_.overtake(lane, id);
  }
  set_alarms();
}

void DoorKeeper::set_alarms() {
  due_.set(doors_.next_due());
  hanging_.set(start_runs_.empty() ? std::nullopt : std::optional(start_runs_.begin()->first));
  if (doors_.size() == 0) {
    minute_.set(std::nullopt);
  } else if (!minute_.when()) {
    minute_.set(loop_.now() + kTimeMark);
  }
}

void DoorKeeper::tell_complaints() {
  for (const std::string& complaint : state_->take_complaints()) log_.error(complaint);
}

}  // namespace knockd
