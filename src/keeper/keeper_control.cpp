// SPDX-License-Identifier: MIT
// What the keeper tells of itself, and does by a person's word.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "knockd/base/text.h"
#include "knockd/control/control_path.h"
#include "knockd/keeper/keeper.h"
#include "knockd/keeper/moment.h"

namespace knockd {
namespace {

// Differs if the file, or its content, was replaced. Not "is newer": clocks are set, and a restored
// backup keeps its time.
std::string mark_of(const std::string& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) != 0) return "";
  return format("%ju %ju %jd %jd.%ld\n", uintmax_t{status.st_dev}, uintmax_t{status.st_ino},
                intmax_t{status.st_size}, intmax_t{status.st_mtim.tv_sec},
                long{status.st_mtim.tv_nsec});
}

}  // namespace

std::string Keeper::marks_of_config() const {
  std::string marks;
  for (const std::string& file : config_.files) marks += mark_of(file);
  return marks;
}

void Keeper::open_control() {
  const std::string& pid_file = options_.pid_file.empty() ? config_.pid_file : options_.pid_file;
  const bool is_none = config_.control && config_.control->empty();
  control_.open(is_none ? "" : control_path(config_.control.value_or(""), pid_file),
                config_.control_group);
}

StatusReport Keeper::status() const {
  StatusReport report;
  report.version = KNOCKD_VERSION;
  report.pid = getpid();
  report.time = chronicle_.wall_time(loop_.now());
  report.uptime = loop_.now() - started_;
  report.config_file = config_.file;
  report.config_read = chronicle_.wall_time(config_read_);
  report.config_changed = marks_of_config() != config_marks_;
  report.clock_is_kept = Moment::now().wall_is_kept;
  report.max_sources = config_.bounds.max_sources;
  report.commands_running = doors_.running();
  report.commands_waiting = doors_.waiting();
  report.interfaces = slots_.report();
  std::map<std::string, uint64_t> open;  // of doors, by name: two of one name are told as one
  for (const Door& door : config_.doors) {
    if (!open.emplace(door.name, 0).second) continue;
    report.doors.push_back({door.name, chronicle_.totals(door.name)});
    for (const User& user : door.users) report.doors.back().users.push_back(user.name);
  }
  const WallTime boot = chronicle_.wall_time(Instant());
  doors_.openings().for_each_since([&](const OpenDoor& door, std::optional<Instant> since) {
    ++open[door.door];
    OpeningReport opening;
    opening.id = door.id;
    opening.door = door.door;
    opening.address = door.source;
    opening.network = network_text(door.source, door.admission ? door.admission->prefix : 128);
    opening.interface = door.interface;
    opening.user = door.user;
    if (since) opening.since = boot + since->time_since_epoch();
    opening.until = boot + door.deadline.time_since_epoch();
    opening.left = std::max(door.deadline - loop_.now(), Duration::zero());
    report.openings.push_back(std::move(opening));
  });
  for (DoorReport& door : report.doors) door.open = open[door.name];
  const auto& attempts = chronicle_.attempts().all();
  report.attempts.assign(attempts.begin(), attempts.end());
  return report;
}

void Keeper::log_status(const StatusReport& report) {
  for (const std::string& line : to_log_lines(report)) log_.notice(line);
}

Result<OpenedByHand> Keeper::open_by_hand(const AskOpen& open, uid_t user) {
  const auto door = std::ranges::find(config_.doors, open.door, &Door::name);
  if (door == config_.doors.end()) {
    std::vector<std::string> names;
    for (const Door& one : config_.doors) names.push_back(printable(one.name));
    return Fault{"no door is called " + printable(open.door) +
                 (names.empty() ? "" : "; there are: " + join(names, ", "))};
  }
  const auto number = static_cast<DoorNumber>(door - config_.doors.begin());
  const std::shared_ptr<Terms> terms(new Terms(*terms_.of(number, open.address)));
  // Reknock = ignore is for knocks alone.
  if (terms->reknock == Reknock::kIgnore) terms->reknock = Reknock::kExtend;
  if (open.time) terms->open_for = *open.time;
  return doors_.open_by_hand({terms, open.address, "", 0, kNoDoor}, user);
}

bool Keeper::is_open(uint64_t opening) const { return doors_.openings().is_open(opening); }

ClosedByHand Keeper::close_by_hand(const Selection& selection, uid_t user) {
  return doors_.close_by_hand(selection, user);
}

}  // namespace knockd
