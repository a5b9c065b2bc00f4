// SPDX-License-Identifier: MIT
// A world's obligations, and what must hold after each event.
#include "tests/knock/openings_world.h"

#include <algorithm>

namespace knockd::openings_test {

// --- The ledger

World::Answer World::expected_answer(size_t door, size_t source, bool by_hand) {
  const Terms& terms = *setting_->doors[door];
  if (leaving_) return Answer::kIgnored;
  if (!by_hand && cooling_until_[door] && now_ < *cooling_until_[door]) return Answer::kIgnored;
  if (renewable(door, source) != nullptr) return Answer::kRenewed;
  size_t open = 0;
  struct Starts {
    size_t waiting = 0;
    size_t perhaps = 0;
  };
  Starts all;
  Starts of_source;
  for (const Life& life : lives_) {
    if (life.door != door) continue;
    if (life.has_something_to_undo()) ++open;
    if (life.begun) continue;
    // Openings that are retried or have nothing to start may count or not.
    const auto counts = life.has_start && !life.start_again ? &Starts::waiting : &Starts::perhaps;
    ++(all.*counts);
    if (life.source == source) ++(of_source.*counts);
  }
  const bool has_something_to_undo = !terms.stop.empty() || terms.admission;
  if (has_something_to_undo && open >= terms.max_open) return Answer::kRefused;
  const size_t most = setting_->limits.waiting_starts;
  // A person may add one to any number of one source.
  const auto refused = [&](size_t of_all, size_t own) {
    return of_all >= most || (!by_hand && own >= most_of_source(of_all - own));
  };
  if (refused(all.waiting, of_source.waiting)) {
    return terms.start.empty() ? Answer::kRefusedOrOpened : Answer::kRefused;
  }
  const bool may_be_refused =
      refused(all.waiting + all.perhaps, of_source.waiting + of_source.perhaps);
  return may_be_refused ? Answer::kRefusedOrOpened : Answer::kOpened;
}

// How many starts of one source may wait, beside those of others.
size_t World::most_of_source(size_t of_others) const {
  return std::max<size_t>((setting_->limits.waiting_starts - of_others) / 4, 1);
}

World::Life* World::life(uint64_t id) {
  if (id == 0) return nullptr;
  for (Life& life : lives_) {
    if (life.id == id) return &life;
  }
  return nullptr;
}

// The oldest opening of this door and source (kSources: of any) whose number is not known yet.
World::Life* World::life_of_new(uint64_t id, size_t door, size_t source) {
  for (Life& life : lives_) {
    if (life.id != 0 || life.door != door || (source != kSources && life.source != source))
      continue;
    require(id > last_taken_, "an opening has the number of an earlier one");
    life.id = id;
    return &life;
  }
  return nullptr;
}

void World::erase(uint64_t id) {
  std::erase_if(lives_, [&](const Life& life) { return life.id == id; });
}

// The opening that another knock of its source would renew: any but one that is being closed.
World::Life* World::renewable(size_t door, size_t source) {
  if (setting_->doors[door]->reknock == Reknock::kRun) return nullptr;
  for (Life& life : lives_) {
    if (life.door != door || life.source != source || !life.has_something_to_undo()) continue;
    if (!is_due(life) && !life.stopped_once) return &life;
  }
  return nullptr;
}

bool World::is_due(const Life& life) const {
  return life.begun && (closing_ || life.deadline <= now_);
}

bool World::has_pending_sync() const {
  return !unsynced_.empty() ||
         std::any_of(lives_.begin(), lives_.end(), [](const Life& life) { return !life.synced; });
}

// True if it makes others of its door and source wait.
bool World::holds_lane(const Process& process, const Life& life) const {
  return process.door == life.door && process.source == life.source && !process.overtaken;
}

bool World::can_overtake(const Process& process) const {
  return process.kind == CommandKind::kStart && process.began + kPatience <= now_;
}

// A waiting stop that is not in a pause before a retry.
bool World::lane_has_due_stop(size_t door, size_t source) const {
  for (const Life& life : lives_) {
    if (life.door != door || life.source != source || !life.has_stop || !is_due(life)) continue;
    if (life.stop_running || life.stop_again || life.closed || life.stop_failed) continue;
    if (!life.stopped_once || !life.start_running) return true;
  }
  return false;
}

// A start that its stop no longer waits for has given its place back.
bool World::needs_place(const Process& process) const {
  return !process.overtaken &&
         !(can_overtake(process) && lane_has_due_stop(process.door, process.source));
}

bool World::has_place(CommandKind kind, size_t door) const {
  std::array<size_t, kDoors> running{};
  for (const Process& process : processes_) {
    if (process.kind == kind && needs_place(process)) ++running[process.door];
  }
  const size_t own = setting_->limits.own_places;
  const size_t doors = (running[0] != 0) + (running[1] != 0);
  if (running[door] == 0 && doors < own) return true;
  return running[0] + running[1] - std::min(doors, own) < setting_->limits.shared_places;
}

const OpenDoor* World::is_durable(uint64_t id) const {
  for (const OpenDoor& door : durable_) {
    if (door.id == id) return &door;
  }
  return nullptr;
}

// Its latest record, synced or not.
const OpenDoor* World::on_disk(uint64_t id) const {
  const OpenDoor* found = is_durable(id);
  for (const Entry& entry : unsynced_) {
    if (entry.door.id == id) found = entry.forget ? nullptr : &entry.door;
  }
  return found;
}

const World::Element* World::element(uint64_t id) const {
  for (const Element& one : elements_) {
    if (one.opening == id) return &one;
  }
  return nullptr;
}

// --- What must hold after each event

void World::settle() {
  if (!failure_.empty()) return;
  const std::optional<Instant> alarm = machine_->next_alarm();
  if (!alarm || *alarm > now_) return;
  machine_->time_passed(now_);
  carry_out();
  const std::optional<Instant> next = machine_->next_alarm();
  require(!next || *next > now_, "the alarm has passed and stays: a busy loop");
}

void World::check() {
  if (!failure_.empty()) return;
  require(machine_->running() == processes_.size(), "running() is not the number of commands");
  check_limits();
  const std::optional<Instant> alarm = machine_->next_alarm();
  size_t recorded = 0;
  for (const Life& life : lives_) {
    if (const OpenDoor* door = life.has_something_to_undo() ? on_disk(life.id) : nullptr) {
      ++recorded;
      require(door->deadline >= life.knocked + setting_->doors[life.door]->open_for,
              "an extended time was not recorded");
    }
    if (life.has_ports) check_ports(life, alarm);
    check_stop(life, alarm);
    check_start(life);
  }
  require(machine_->open() == recorded, "open() is not the number of recorded openings");
  for (const uint64_t id : told_) require(life(id) != nullptr, "it is not told what was closed");
}

void World::check_limits() {
  std::array<size_t, kDoors> open{};
  std::array<size_t, kDoors> waiting{};
  std::array<size_t, kDoors> in{};
  for (const Element& one : elements_) in[one.door] += one.until > now_;
  for (const Life& life : lives_) {
    if (life.has_something_to_undo()) ++open[life.door];
    if (life.has_start && !life.begun && !life.start_again) ++waiting[life.door];
  }
  for (size_t door = 0; door < kDoors; ++door) {
    require(open[door] <= setting_->doors[door]->max_open, "more openings than Max_Open");
    require(in[door] <= setting_->doors[door]->max_open, "more are let in than Max_Open");
    require(waiting[door] <= setting_->limits.waiting_starts, "more starts wait than may");
  }
}

// A knocker is admitted from the knock to the end of the time, even while a start waits. The kernel
// ends it by itself, so the machine has something to do only at that end.
void World::check_ports(const Life& life, std::optional<Instant> alarm) {
  if (!is_due(life)) {
    check_in(life, "a knocker is not in, or is for another time than is owed");
    require(!life.begun || (leaving_ && !closing_) || (alarm && *alarm <= life.deadline),
            "no alarm at the end of the time of one who is in");
    return;
  }
  if (leaving_ && !closing_) return;  // the next machine handles it
  require(!life.let_in, "let in past its time");
  require(life.has_stop || life.start_running, "remembered past its time");
}

// Unless the kernel refused to renew it.
void World::check_in(const Life& life, const char* what) {
  const Element* const found = element(life.id);
  if (!require(found != nullptr && life.let_in, what)) return;
  require(found->until == (life.kernel_refused ? life.in_until : life.deadline), what);
}

void World::check_stop(const Life& life, std::optional<Instant> alarm) {
  if (!life.has_stop || !life.begun || life.stop_running || life.closed || life.stop_failed) return;
  if (leaving_ && !closing_) return;  // the next machine handles it
  if (!is_due(life)) {
    require(alarm && *alarm <= life.deadline, "no alarm at the end of an opening's time");
    return;
  }
  if (life.stopped_once && life.start_running) return;
  if (life.stop_again && alarm) return;  // after a pause
  for (const Life& other : lives_) {     // an older one of its door and source goes first
    if (&other == &life) break;
    if (other.door == life.door && other.source == life.source && other.stop_again) return;
  }
  for (const Process& process : processes_) {
    if (!holds_lane(process, life) || can_overtake(process)) continue;
    require(process.kind == CommandKind::kStop || (alarm && *alarm <= process.began + kPatience),
            "no alarm at the end of the patience");
    return;
  }
  require(!has_place(CommandKind::kStop, life.door), "open past its time");
}

void World::check_start(const Life& life) {
  if (!life.has_start || life.begun || leaving_) return;
  if (life.start_again && machine_->next_alarm()) return;  // after a pause
  if (!life.synced) return;
  for (const Life& other : lives_) {  // the earlier ones of its door and source go first
    if (&other == &life) break;
    if (other.door == life.door && other.source == life.source && !other.begun) return;
  }
  for (const Life& other : lives_) {
    const bool stop_waits = other.stop_again || (is_due(other) && other.has_stop && !other.closed);
    if (other.door == life.door && other.source == life.source && stop_waits) return;
  }
  for (const Process& process : processes_) {
    if (holds_lane(process, life)) return;
  }
  require(!has_place(CommandKind::kStart, life.door), "a start waits though it could run");
}

void World::check_drained() {
  if (!failure_.empty()) return;
  require(!machine_->next_alarm(), "alarms without end");
  require(processes_.empty() && machine_->running() == 0, "commands without end");
  require(machine_->waiting() == 0, "a command waits for ever");
  require(durable_.empty() && machine_->open() == 0, "an opening is never closed");
  require(told_.empty(), "it is never told what was closed");
  require(elements_.empty(), "somebody who was let in is never dismissed");
  require(lives_.empty(), "an opening was forgotten");
  require(refused_[0] == 0 && refused_[1] == 0, "refused knocks were never reported");
}

}  // namespace knockd::openings_test
