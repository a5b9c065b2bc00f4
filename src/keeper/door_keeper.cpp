// SPDX-License-Identifier: MIT
#include "knockd/keeper/door_keeper.h"

#include <algorithm>

#include "knockd/base/text.h"
#include "knockd/keeper/moment.h"
#include "knockd/knock/command_template.h"

namespace knockd {
namespace {

constexpr Duration kTimeMark = std::chrono::minutes(1);

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
  close_due();
}

void DoorKeeper::open(const Door& door, const IpAddress& source, const std::string& interface) {
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
  command.opening = opening;
  commands_.run(std::move(command));
}

void DoorKeeper::close_due() {
  for (const uint64_t id : doors_.due(loop_.now())) close(id, "command timeout");
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
  const std::string lane = lane_of(door.door, door.source);
  const std::string source = name_source_(door.source);
  if (commands_.overtake(lane, id)) {
    log_.warning(format("%s: %s: the start command is still running; running the stop command",
                        source.c_str(), door.door.c_str()));
  }
  Command command = command_of(door.door, door.source, door.interface, "stop", door.stop_command);
  command.begin = [this, line = source + ": " + door.door + ": " + why] { log_.notice(line); };
  command.ended = [this, id] { stop_has_run(id); };
  commands_.run(std::move(command));
}

void DoorKeeper::stop_has_run(uint64_t id) {
  const OpenDoor* const found = doors_.find(id);
  if (found == nullptr) return;
  const OpenDoor door = *found;
  doors_.closed(id);
  state_->closed(door, Moment::now());
  tell_complaints();
  set_alarms();
}

void DoorKeeper::set_alarms() {
  due_.set(doors_.next_due());
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
