// SPDX-License-Identifier: MIT
// What happens to a world.
#include "tests/knock/openings_world.h"

#include <algorithm>

namespace knockd::openings_test {
namespace {

using std::chrono::milliseconds;

const std::array<IpAddress, kSources>& sources() {
  static const std::array<IpAddress, kSources> all = {*IpAddress::parse("192.0.2.1"),
                                                      *IpAddress::parse("2001:db8::2")};
  return all;
}

}  // namespace

size_t World::source_number(const IpAddress& source) { return source == sources()[0] ? 0 : 1; }

size_t World::door_number(const std::string& name) const {
  return name == setting_->doors[0]->door ? 0 : 1;
}

World::World(const Setting& setting) : setting_(&setting) {
  machine_.emplace(setting.limits);
  sequences_.fill(setting.sequences);
}

void World::trace(const std::string& line) const {
  if (trace_ != nullptr) trace_->push_back(line);
}

// --- Events

void World::apply(const Event& event) {
  if (!failure_.empty()) return;
  const std::optional<Instant> alarm = machine_->next_alarm();
  const bool can_end = event.a < processes_.size();
  const bool can_fail = can_end && processes_[event.a].began == now_ && !processes_[event.a].runs;
  switch (event.kind) {
    case Event::Kind::kKnock:
      knock(event.a, event.b, Mishap::kNone);
      break;
    case Event::Kind::kKnockUnmarked:
      knock(event.a, event.b, Mishap::kUnmarked);
      break;
    case Event::Kind::kKnockFull:
      knock(event.a, event.b, Mishap::kFull);
      break;
    case Event::Kind::kKnockByHand:
      knock(event.a, event.b, Mishap::kNone, true);
      break;
    case Event::Kind::kGateway:
      open_by_gateway(event.a, event.b);
      break;
    case Event::Kind::kShutByHand:
      shut(event.a, event.b);
      break;
    case Event::Kind::kEnd:
      if (can_end) end(event.a);
      break;
    case Event::Kind::kTryAgain:
      if (can_fail) could_not_run(event.a, true);
      break;
    case Event::Kind::kNever:
      if (can_fail) could_not_run(event.a, false);
      break;
    case Event::Kind::kSync:
      if (has_pending_sync()) sync();
      break;
    case Event::Kind::kAlarm:
      if (alarm) pass_time(*alarm, false);
      break;
    case Event::Kind::kHalf:
      if (alarm) pass_time(now_ + (*alarm - now_) / 2, true);
      break;
    case Event::Kind::kLate:
      if (alarm) pass_time(*alarm + milliseconds(700), false);
      break;
    case Event::Kind::kCrash:
      if (event.a <= unsynced_.size()) restart(event.a);
      break;
    case Event::Kind::kClose:
    case Event::Kind::kKeep:
      if (!leaving_) shut_down(event.kind == Event::Kind::kClose);
      break;
    case Event::Kind::kLeave:
      if (leaving_) restart(unsynced_.size());
      break;
  }
  settle();
  check();
}

void World::list_events(std::vector<Event>& events) const {
  using Kind = Event::Kind;
  events.clear();
  const auto add = [&](Kind kind, size_t a = 0, size_t b = 0) {
    events.push_back({kind, static_cast<uint8_t>(a), static_cast<uint8_t>(b)});
  };
  for (size_t door = 0; door < kDoors; ++door) {
    const bool one_time = setting_->doors[door]->one_time;
    if (one_time && sequences_[door] == 0) continue;  // the door is closed for good
    for (size_t source = 0; source < kSources; ++source) {
      add(Kind::kKnock, door, source);
      if (one_time) add(Kind::kKnockUnmarked, door, source);
      if (setting_->doors[door]->admission) add(Kind::kKnockFull, door, source);
    }
  }
  for (const Life& life : lives_) {
    if (life.has_something_to_undo() && !is_due(life)) {
      add(Kind::kShutByHand, life.door, life.source);
      break;  // one of them is enough
    }
  }
  if (hand_ < kMostByHand && !leaving_) add(Kind::kKnockByHand, 0, 0);
  if (gateway_ < kMostByGateway && !leaving_) add(Kind::kGateway, 0, 0);
  for (size_t i = 0; i < processes_.size(); ++i) {
    add(Kind::kEnd, i);
    if (processes_[i].began != now_ || processes_[i].runs) continue;
    add(Kind::kTryAgain, i);
    add(Kind::kNever, i);
  }
  if (has_pending_sync()) add(Kind::kSync);
  if (machine_->next_alarm()) {
    add(Kind::kAlarm);
    add(Kind::kHalf);
    add(Kind::kLate);
  }
  for (size_t i = 0; i <= unsynced_.size(); ++i) add(Kind::kCrash, i);
  if (!leaving_) {
    add(Kind::kClose);
    add(Kind::kKeep);
  } else {
    add(Kind::kLeave);
  }
}

void World::knock(size_t door, size_t source, Mishap mishap, bool by_hand) {
  const std::shared_ptr<const Terms>& terms = setting_->doors[door];
  if (!by_hand && terms->one_time && sequences_[door] == 0) return;
  const size_t entries = unsynced_.size();
  const int sequences = sequences_[door];
  mishap_ = mishap;
  sesame_ = ran_ = false;
  Answer answer = expected_answer(door, source, by_hand);
  Life* const renewed = renewable(door, source);
  std::vector<Action> batch;
  const uint64_t id = let_knock(door, source, by_hand, batch);
  if (answer == Answer::kRefusedOrOpened) answer = id == 0 ? Answer::kRefused : Answer::kOpened;
  const bool does_nothing = terms->start.empty() && terms->stop.empty() && !terms->admission;
  if (by_hand && does_nothing) answer = Answer::kIgnored;
  const bool uses_sequence = terms->one_time && !by_hand;
  const bool works = !uses_sequence || mishap != Mishap::kUnmarked;
  if (answer == Answer::kRefused) {
    if (!by_hand) ++refused_[door];
  } else if (answer == Answer::kOpened) {
    lives_.push_back(new_life(door, source));
    lives_.back().marked = by_hand;
    if (by_hand) lives_.back().id = id;
  } else if (answer == Answer::kRenewed && terms->reknock == Reknock::kExtend && works) {
    renewed->knocked = now_;
    if (now_ + terms->open_for > renewed->deadline) {
      renewed->of_gateway = renewed->of_fleet = false;
    }
    renewed->deadline = std::max(renewed->deadline, now_ + terms->open_for);
  }
  if (!batch.empty()) carry_out(batch);
  carry_out();
  check_knock(answer, *terms, entries);
  const bool uses = answer == Answer::kOpened || answer == Answer::kRenewed;
  require(sequences - sequences_[door] == (uses && uses_sequence && works),
          "a sequence is used up, or is not, and should not, or should");
  if (uses && !by_hand) cooling_until_[door] = now_ + terms->cooldown;
  mishap_ = Mishap::kNone;
  if (answer != Answer::kOpened) return;
  if (works && terms->admission && mishap == Mishap::kFull) kept_out_ = lives_.back().id;
  if (!opens(*terms, mishap) || does_nothing) lives_.pop_back();
}

uint64_t World::let_knock(size_t door, size_t source, bool by_hand, std::vector<Action>& batch) {
  if (by_hand) {
    ++hand_;
    Terms terms = *setting_->doors[door];
    terms.one_time = false;
    terms.cooldown = Duration::zero();
    const auto opened = machine_->open_by_hand(
        {std::make_shared<const Terms>(terms), sources()[source], "eth0", 3}, 1000, now_);
    batch = machine_->take_actions();
    const bool does_nothing = terms.start.empty() && terms.stop.empty() && !terms.admission;
    require(opened.refused.empty() == (opened.id != 0 || does_nothing),
            "opened by hand, and refused, or neither");
    return opened.id;
  }
  machine_->knocked({setting_->doors[door], sources()[source], "eth0", 3}, now_);
  batch = machine_->take_actions();
  return std::any_of(batch.begin(), batch.end(), [](const Action& action) {
    const Say* say = std::get_if<Say>(&action);
    return say != nullptr && say->source;
  });
}

// The opening with the latest end is extended if this end is later, and nothing else happens.
// Without an opening, it opens like a knock.
void World::open_by_gateway(size_t door, size_t source) {
  const Terms& own = *setting_->doors[door];
  if (leaving_ || !own.has_something_to_undo()) return;
  Life* longest = nullptr;
  for (Life& life : lives_) {
    if (life.door != door || life.source != source) continue;
    if (is_due(life) || life.stopped_once) continue;
    if (longest == nullptr || life.deadline > longest->deadline) longest = &life;
  }
  ++gateway_;
  ran_ = false;
  const Answer answer = longest != nullptr ? Answer::kRenewed : expected_answer(door, source, true);
  const Instant deadline = now_ + own.open_for;
  const Instant before = longest != nullptr ? longest->deadline : now_;
  Terms terms = own;
  terms.reknock = Reknock::kExtend;
  CompleteKnock knock{std::make_shared<const Terms>(terms), sources()[source], "", 0};
  knock.gateway = "b";
  const auto opened = machine_->open_by_gateway(knock, now_);
  const std::vector<Action> batch = machine_->take_actions();
  if (opened.id == 0) {
    require(answer == Answer::kRefused || answer == Answer::kRefusedOrOpened,
            "a gateway was refused without a reason");
    ++refused_[door];
  } else if (longest == nullptr) {
    require(answer != Answer::kRefused && opened.is_new, "a gateway was not refused");
    lives_.push_back(new_life(door, source));
    lives_.back().id = opened.id;
    lives_.back().marked = lives_.back().of_gateway = lives_.back().of_fleet = true;
  } else {
    Life* const renewed = life(opened.id);
    if (!require(renewed != nullptr && !opened.is_new, "a gateway opened what is open")) return;
    require(renewed->deadline == before, "a gateway lengthened another than what lasts longest");
    if (deadline > before + kOnTheWay) {
      renewed->knocked = now_;
      renewed->deadline = deadline;
      renewed->of_gateway = true;
    } else {
      require(batch.empty(), "a gateway that changes nothing did something");
    }
    require(opened.deadline == renewed->deadline, "a gateway was told another end");
  }
  carry_out(batch);
  carry_out();
  require(!ran_, "a gateway ran a command at once");
}

// Like the keeper: everything to be recorded is on disk before anything else happens.
void World::shut(size_t door, size_t source) {
  if (leaving_) return;
  for (Process& process : processes_) process.runs = true;
  size_t due = 0;
  for (Life& life : lives_) {
    if (life.door != door || life.source != source || !life.has_something_to_undo()) continue;
    if (is_due(life) || life.stopped_once) continue;
    ++due;
    life.dropped = !life.begun;
    if (life.dropped) continue;
    life.knocked = now_ - setting_->doors[door]->open_for;
    life.deadline = now_;
  }
  const Selection selection{setting_->doors[door]->door, sources()[source]};
  const auto closed = machine_->close_by_hand(selection, 1000, now_);
  require(closed.size() == due, "closed by hand others than those that were open");
  require(machine_->close_by_hand(selection, 1000, now_).empty(), "closed by hand twice");
  carry_out();
  bring_to_disk();
  machine_->time_passed(now_);
  carry_out();
  for (const Life& life : lives_) require(!life.dropped, "one that had not begun was not dropped");
}

World::Life World::new_life(size_t door, size_t source) const {
  Life life;
  life.door = static_cast<uint8_t>(door);
  life.source = static_cast<uint8_t>(source);
  life.has_start = !setting_->doors[door]->start.empty();
  life.has_stop = !setting_->doors[door]->stop.empty();
  life.has_ports = setting_->doors[door]->admission.has_value();
  life.knocked = now_;
  life.deadline = now_ + setting_->doors[door]->open_for;
  return life;
}

// True if an opening knock succeeds despite its fault.
bool World::opens(const Terms& terms, Mishap mishap) {
  if (terms.one_time && mishap == Mishap::kUnmarked) return false;
  return !terms.admission || mishap != Mishap::kFull;
}

// A knock by itself never runs a command, because its opening must be recorded first.
void World::check_knock(Answer answer, const Terms& terms, size_t entries) {
  require(!ran_, "a knock ran a command");
  const bool recorded = entries != unsynced_.size();
  switch (answer) {
    case Answer::kIgnored:
      require(!recorded && !sesame_, "a knock to be ignored did something");
      break;
    case Answer::kRefused:
      require(!recorded && !sesame_, "a refused knock did more than be counted");
      break;
    case Answer::kRenewed:
      require(sesame_, "a renewal was not logged");
      require(!recorded || (terms.reknock == Reknock::kExtend &&
                            (!terms.one_time || mishap_ != Mishap::kUnmarked)),
              "a knock at an open door recorded something");
      break;
    case Answer::kOpened:
      require(sesame_, "a knock that opens was not logged");
      require(recorded == (opens(terms, mishap_) && (!terms.stop.empty() || terms.admission)),
              "an opening was recorded, or was not, and should not, or should");
      require(lives_.back().let_in == (opens(terms, mishap_) && terms.admission),
              "a knocker was let in, or was not, and should not, or should");
      break;
    case Answer::kRefusedOrOpened:
      break;
  }
}

void World::end(size_t number) {
  const Process process = processes_[number];
  processes_.erase(processes_.begin() + static_cast<ptrdiff_t>(number));
  Life* life = this->life(process.opening);
  if (require(life != nullptr, "an opening was forgotten whose command runs")) {
    if (process.kind == CommandKind::kStart) {
      life->start_running = false;
      if (!life->has_something_to_undo()) erase(life->id);
    } else {
      life->stop_running = false;
      life->stopped_once = true;
      if (life->stop_follows) life->closed = true;
    }
  }
  last_end_ = now_;  // there is room for a stop that lacked a process
  machine_->ended(process.opening, process.kind, false, now_);
  carry_out();
}

void World::could_not_run(size_t number, bool again) {
  const Process process = processes_[number];
  processes_.erase(processes_.begin() + static_cast<ptrdiff_t>(number));
  Life* life = this->life(process.opening);
  if (require(life != nullptr, "an opening was forgotten whose command runs")) {
    if (process.kind == CommandKind::kStart) {
      life->start_running = false;
      life->begun = !again;  // an unrunnable one counts as ended, like one that failed
      life->start_again = again;
    } else {
      life->stop_running = false;
      life->stop_again = again;
      life->stopped_once = life->stopped_once || !again;
      life->stop_failed = !again && life->stop_follows;
    }
    if (again) life->tried = now_;
    if (life->begun && !life->has_something_to_undo()) erase(life->id);
  }
  machine_->could_not_run(process.opening, process.kind, "Out of memory", again, now_);
  carry_out();
}

void World::sync() {
  bring_to_disk();
  for (Life& life : lives_) {
    life.synced = true;
    if (!life.has_start) life.begun = true;  // nothing to run: it is open from now on
  }
  machine_->recorded(now_);
  carry_out();
}

void World::pass_time(Instant when, bool ask) {
  now_ = when;
  if (!ask) return;  // settle() does, if it is time
  machine_->time_passed(now_);
  carry_out();
}

void World::restart(size_t surviving) {
  elements_.clear();  // the table is rebuilt
  unsynced_.resize(surviving);
  bring_to_disk();
  // Running commands end by themselves: a start has then opened, a stop has closed.
  for (const Process& process : processes_) {
    if (Life* life = this->life(process.opening)) {
      if (process.kind == CommandKind::kStart) life->start_running = false;
      if (process.kind == CommandKind::kStop && life->stop_follows) life->closed = true;
    }
  }
  processes_.clear();
  for (const Life& life : lives_) {
    if (!life.begun || !life.has_start || !life.has_something_to_undo()) continue;
    if (life.closed || life.stop_failed) continue;
    const OpenDoor* door = is_durable(life.id);
    if (!require(door != nullptr, "an opening is open and not on disk after a crash")) return;
    require(door->deadline <= life.deadline, "the disk has an opening last longer than it should");
  }
  lives_.clear();
  last_taken_ = kept_out_ = 0;
  told_.clear();
  for (const OpenDoor& door : durable_) {
    Life life;
    life.id = door.id;
    life.door = static_cast<uint8_t>(door_number(door.door));
    life.source = static_cast<uint8_t>(source_number(door.source));
    life.has_stop = !door.stop_command.empty();
    life.has_ports = life.let_in = door.admission.has_value();
    life.begun = life.synced = true;
    life.knocked = door.deadline - setting_->doors[life.door]->open_for;
    life.deadline = door.deadline;
    life.of_gateway = !door.gateway.empty();
    lives_.push_back(life);
    told_.insert(life.id);
    last_taken_ = std::max(last_taken_, door.id);
  }
  std::sort(lives_.begin(), lives_.end(), [](const Life& a, const Life& b) { return a.id < b.id; });
  leaving_ = closing_ = false;
  cooling_until_.fill(std::nullopt);
  refused_.fill(0);
  reported_.fill({});
  ++restarts_;
  machine_.emplace(setting_->limits);
  machine_->take_up(durable_, now_);
  carry_out();
}

void World::bring_to_disk() {
  for (const Entry& entry : unsynced_) {
    std::erase_if(durable_, [&](const OpenDoor& door) { return door.id == entry.door.id; });
    if (!entry.forget) durable_.push_back(entry.door);
  }
  unsynced_.clear();
}

void World::shut_down(bool close) {
  leaving_ = true;
  closing_ = close;
  std::erase_if(lives_,
                [](const Life& life) { return !life.begun && !life.has_something_to_undo(); });
  machine_->shut_down(close, now_);
  carry_out();
  for (const Life& life : lives_) {
    require(life.begun || !life.has_start,
            "a start that has not begun was not dropped at shutdown");
  }
}

void World::drain(bool hanging) {
  int patience = hanging ? 30 : 0;
  for (int i = 0; i < 400 && failure_.empty(); ++i) {
    const auto stop =
        std::find_if(processes_.begin(), processes_.end(),
                     [](const Process& process) { return process.kind == CommandKind::kStop; });
    const auto number = static_cast<uint8_t>(stop - processes_.begin());
    if (has_pending_sync()) {
      apply({Event::Kind::kSync});
    } else if (stop != processes_.end()) {
      apply({Event::Kind::kEnd, number});
    } else if (patience > 0 && machine_->next_alarm()) {
      --patience;
      apply({Event::Kind::kAlarm});
    } else if (!processes_.empty()) {
      apply({Event::Kind::kEnd, 0});
    } else if (leaving_ && (!closing_ || (machine_->open() == 0 && machine_->waiting() == 0))) {
      if (closing_)
        require(durable_.empty(), "something is left on disk after a shutdown that closes");
      apply({Event::Kind::kLeave});
    } else if (machine_->next_alarm()) {
      apply({Event::Kind::kAlarm});
    } else {
      break;
    }
  }
  check_drained();
}

}  // namespace knockd::openings_test
