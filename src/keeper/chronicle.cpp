// SPDX-License-Identifier: MIT
#include "knockd/keeper/chronicle.h"

#include <utility>

namespace knockd {
namespace {

HappeningKind kind_of(EventKind kind) {
  switch (kind) {
    case EventKind::kTimeout:
      return HappeningKind::kTimeout;
    case EventKind::kScan:
      return HappeningKind::kScan;
    case EventKind::kWrong:
      return HappeningKind::kWrong;
    case EventKind::kWrongCode:
      return HappeningKind::kWrongCode;
    default:  // not an opening: Openings reports those
      return HappeningKind::kStage;
  }
}

HappeningKind kind_of(Happened::What what) {
  switch (what) {
    case Happened::What::kRefused:
      return HappeningKind::kRefused;
    case Happened::What::kClosed:
      return HappeningKind::kClosed;
    default:
      return HappeningKind::kOpen;
  }
}

AttemptEnd end_of(EventKind kind) {
  switch (kind) {
    case EventKind::kTimeout:
      return AttemptEnd::kTooSlow;
    case EventKind::kScan:
      return AttemptEnd::kPortScan;
    case EventKind::kWrongCode:
      return AttemptEnd::kNoSuchCode;
    default:
      return AttemptEnd::kWrongKnock;
  }
}

const char* name_of(Happened::By by) {
  switch (by) {
    case Happened::By::kHand:
      return "hand";
    case Happened::By::kFleet:
      return "fleet";
    case Happened::By::kShutdown:
      return "shutdown";
    default:
      return "time";
  }
}

}  // namespace

void Chronicle::heard(const KnockEvent& event, const std::string& door,
                      const std::string& interface, std::optional<Knock> expected) {
  Happening happening;
  happening.event = kind_of(event.kind);
  happening.door = door;
  happening.address = event.source;
  happening.interface = interface;
  happening.stage = event.stage;
  const bool is_wrong = event.kind == EventKind::kWrong || event.kind == EventKind::kWrongCode;
  if (is_wrong) happening.came = event.came;
  if (event.kind == EventKind::kWrong) happening.expected = expected;
  if (event.kind != EventKind::kStage) {
    attempts_.add({wall_now(),
                   event.source,
                   door,
                   interface,
                   event.stage,
                   end_of(event.kind),
                   happening.came,
                   expected,
                   {}});
  }
  tell(std::move(happening));
}

void Chronicle::code_refused(const CompleteKnock& knock, const std::string& door,
                             const std::string& why) {
  ++totals_[door].refused;
  if (!refusals_.allow(loop_.now())) return;
  attempts_.add({wall_now(),
                 knock.source,
                 door,
                 knock.interface,
                 knock.stage,
                 AttemptEnd::kNoSuchCode,
                 {},
                 {},
                 why});
  Happening happening;
  happening.event = HappeningKind::kRefused;
  happening.door = door;
  happening.address = knock.source;
  happening.interface = knock.interface;
  happening.stage = knock.stage;
  happening.why = "no such code: " + why;
  tell(std::move(happening));
}

void Chronicle::code_used(uint64_t opening, const std::string& door, const std::string& user,
                          const CodeKnock& knock) {
  Happening happening;
  happening.event = HappeningKind::kCode;
  happening.id = opening;
  happening.door = door;
  happening.address = knock.source;
  happening.user = user;
  happening.secret = knock.secret;
  happening.step = static_cast<uint64_t>(knock.step);
  tell(std::move(happening));
}

void Chronicle::add(const std::string& door, const DoorCount& count) {
  DoorTotals& totals = totals_[door];
  totals.begun += count.begun;
  totals.timed_out += count.timed_out;
  totals.wrong += count.wrong;
  totals.discarded += count.discarded;
}

void Chronicle::on_happened(const Happened& happened) {
  using What = Happened::What;
  const OpenDoor& door = happened.door;
  DoorTotals& totals = totals_[door.door];
  if (happened.what == What::kOpened) ++totals.opened;
  if (happened.what == What::kRefused) {
    ++totals.refused;
    if (!refusals_.allow(loop_.now())) return;
    attempts_.add({wall_now(),
                   door.source,
                   door.door,
                   door.interface,
                   0,
                   AttemptEnd::kRefused,
                   {},
                   {},
                   happened.why});
  }
  Happening happening;
  happening.event = kind_of(happened.what);
  happening.id = door.id;
  happening.door = door.door;
  happening.address = door.source;
  happening.network = network_text(door.source, door.prefix_let_in());
  happening.renewed = happened.what == What::kRenewed;
  happening.user = door.user;
  happening.fleet = door.gateway;
  happening.interface = door.interface;
  happening.why = happened.why;
  if (happened.what == What::kClosed) happening.by = name_of(happened.by);
  const bool is_open = happened.what == What::kOpened || happened.what == What::kRenewed;
  const bool has_end = door.admission || !door.stop_command.empty();
  if (is_open && has_end) happening.until = wall_time(door.deadline);
  tell(std::move(happening));
}

void Chronicle::on_command_ended(const CommandEnd& end) {
  if (!end.failure.empty()) {
    ++totals_[end.door].commands_failed;
    Happening happening;
    happening.event = HappeningKind::kCommandFailed;
    happening.id = end.opening;
    happening.door = end.door;
    happening.why = std::string(end.kind == CommandKind::kStart ? "start" : "stop") +
                    " command: " + end.failure;
    tell(std::move(happening));
  }
  if (follower_ != nullptr) follower_->on_command_ended(end);
}

void Chronicle::on_not_shut(uint64_t opening) {
  if (follower_ != nullptr) follower_->on_not_shut(opening);
}

void Chronicle::reloaded(bool taken) {
  Happening happening;
  happening.event = HappeningKind::kReload;
  if (!taken) happening.why = "the configuration is faulty, the old one stays in force";
  tell(std::move(happening));
}

void Chronicle::interface_changed(const std::string& name, const std::string& waits_because) {
  Happening happening;
  happening.event = HappeningKind::kInterface;
  happening.interface = name;
  happening.why = waits_because.empty() ? "listening" : waits_because;
  tell(std::move(happening));
}

DoorTotals Chronicle::totals(const std::string& door) const {
  const auto found = totals_.find(door);
  return found == totals_.end() ? DoorTotals() : found->second;
}

WallTime Chronicle::wall_time(Instant when) const { return wall_now() + (when - BootClock::now()); }

void Chronicle::tell(Happening happening) {
  if (follower_ == nullptr) return;
  happening.time = wall_now();
  follower_->on_happening(happening);
}

}  // namespace knockd
