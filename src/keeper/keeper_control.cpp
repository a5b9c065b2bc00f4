// SPDX-License-Identifier: MIT
// The keeper's status, and its actions on request.
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

// Differs if the file or its content was replaced. Not "is newer", because clocks are set, and a
// restored backup keeps its time.
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
  std::map<std::string, uint64_t> open;  // of doors, by name; doors with the same name are added up
  const IpAddress some_v4 = *IpAddress::parse("0.0.0.0");
  for (const Door& door : config_.doors) {
    if (!open.emplace(door.name, 0).second) continue;
    report.doors.push_back({door.name, chronicle_.totals(door.name)});
    DoorReport& told = report.doors.back();
    told.open_for = door.cmd_timeout;
    const auto number = static_cast<DoorNumber>(&door - config_.doors.data());
    told.closes = terms_.of(number, some_v4)->has_something_to_undo() ||
                  terms_.of(number, IpAddress())->has_something_to_undo();
    for (const User& user : door.users) told.users.push_back(user.name);
  }
  const WallTime boot = chronicle_.wall_time(Instant());
  doors_.openings().for_each_since([&](const OpenDoor& door, std::optional<Instant> since) {
    ++open[door.door];
    OpeningReport opening;
    opening.id = door.id;
    opening.door = door.door;
    opening.address = door.source;
    opening.network = network_text(door.source, door.prefix_let_in());
    opening.interface = door.interface;
    opening.user = door.user;
    opening.fleet = door.gateway;
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

// A copy of the door's terms for this source.
Result<std::shared_ptr<Terms>> Keeper::terms_of(const std::string& name,
                                                const IpAddress& source) const {
  const auto door = std::ranges::find(config_.doors, name, &Door::name);
  if (door == config_.doors.end()) {
    std::vector<std::string> names;
    for (const Door& one : config_.doors) names.push_back(printable(one.name));
    return Fault{"no door is called " + printable(name) +
                 (names.empty() ? "" : "; there are: " + join(names, ", "))};
  }
  const auto number = static_cast<DoorNumber>(door - config_.doors.begin());
  return std::shared_ptr<Terms>(new Terms(*terms_.of(number, source)));
}

Result<OpenedByHand> Keeper::open_by_hand(const AskOpen& open, uid_t user) {
  const auto terms = terms_of(open.door, open.address);
  if (!terms) return terms.error();
  // Reknock = ignore only applies to knocks.
  if ((*terms)->reknock == Reknock::kIgnore) (*terms)->reknock = Reknock::kExtend;
  if (open.time) (*terms)->open_for = *open.time;
  return doors_.open_by_hand({*terms, open.address, "", 0, kNoDoor}, user);
}

bool Keeper::is_open(uint64_t opening) const { return doors_.openings().is_open(opening); }

ClosedByHand Keeper::close_by_hand(const Selection& selection, uid_t user) {
  return doors_.close_by_hand(selection, user);
}

// At most for the time that a knock here would open it.
Answer Keeper::fleet_open(const AskFleetOpen& ask) {
  const auto terms = terms_of(ask.door, ask.address);
  if (!terms) return {1, terms.error().text};
  if (!(*terms)->has_something_to_undo()) {
    return {1,
            "door " + printable(ask.door) + " has nothing to undo: it is opened by knocks alone"};
  }
  (*terms)->open_for = std::min((*terms)->open_for, ask.left);
  (*terms)->reknock = Reknock::kExtend;
  CompleteKnock knock{*terms, ask.address, "", 0, kNoDoor};
  knock.user = ask.user;
  knock.gateway = ask.gateway;
  const auto opened = doors_.open_by_gateway(knock);
  return opened ? Answer{0, opened->text} : Answer{1, opened.error().text};
}

Answer Keeper::fleet_close(const AskFleetClose& ask) {
  const ClosedByHand closed = doors_.close_by_gateway(ask.selection, ask.gateway);
  if (closed.count == 0) return {1, "nothing was open there"};
  return {0, "closing " + counted(closed.count, "opening")};
}

Answer Keeper::fleet_used(const AskFleetUsed& ask) {
  const Status used = codes_.used_elsewhere(ask.knock);
  return used ? Answer{} : Answer{1, used.error().text};
}

}  // namespace knockd
