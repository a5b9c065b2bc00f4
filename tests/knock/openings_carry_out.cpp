// SPDX-License-Identifier: MIT
// A world executes actions like the keeper, and checks each.
#include "tests/knock/openings_world.h"

#include <algorithm>
#include <charconv>

#include "knockd/knock/command_template.h"

namespace knockd::openings_test {

using std::chrono::minutes;

// --- Actions

void World::carry_out() {
  for (;;) {
    const std::vector<Action> batch = machine_->take_actions();
    if (batch.empty()) return;
    carry_out(batch);
  }
}

// The actions of one event.
void World::carry_out(const std::vector<Action>& batch) {
  ran_ = false;
  started_ = false;
  for (const Action& action : batch) {
    if (!failure_.empty()) return;
    std::visit([&](const auto& one) { carry_out(one); }, action);
  }
}

void World::carry_out(const Say& say) {
  if (trace_ != nullptr) {
    trace("    say " + (say.source ? say.source->to_string() + ": " : "") + say.text);
  }
  if (say.source) {
    if (say.text.ends_with(": OPEN SESAME") || say.text.ends_with(": opened by hand (uid 1000)")) {
      require(!sesame_, "OPEN SESAME twice");
      sesame_ = true;
    }
    return;
  }
  const size_t refused = say.text.find(" refused: ");
  if (refused == std::string::npos) return;
  for (size_t door = 0; door < kDoors; ++door) {
    if (say.text.starts_with(setting_->doors[door]->door + ": ")) count_refusal(door, say.text);
  }
}

void World::count_refusal(size_t door, const std::string& text) {
  const char* number = text.c_str() + setting_->doors[door]->door.size() + 2;
  uint64_t knocks = 0;
  std::from_chars(number, text.c_str() + text.size(), knocks);
  require(0 < knocks && knocks <= refused_[door], "the line of refused knocks has another number");
  const size_t reason = text.ends_with("(Max_Open)") ? 0 : text.ends_with("source wait") ? 1 : 2;
  std::optional<Instant>& reported = reported_[door][reason];
  require(!reported || now_ - *reported >= minutes(1),
          "knocks refused for one reason were reported more than once a minute");
  refused_[door] -= std::min(knocks, refused_[door]);
  reported = now_;
}

void World::carry_out(const UseSequence& use) {
  if (trace_ != nullptr) trace("    use a sequence of " + setting_->doors[use.door]->door);
  const size_t door = size_t{use.door};
  Life* life = life_of_new(use.opening, door, kSources);
  const bool used = mishap_ != Mishap::kUnmarked && sequences_[door] > 0;
  if (used) --sequences_[door];
  if (life != nullptr) life->marked = used;
  machine_->sequence_used(use.opening, used, now_);
}

void World::carry_out(const Admit& admit) {
  const OpenDoor& door = admit.door;
  const bool in = mishap_ != Mishap::kFull;
  if (trace_ != nullptr) {
    trace("    let in " + door.door + " " + std::to_string(door.id) + (in ? "" : ", in vain"));
  }
  const size_t number = door_number(door.door);
  const Terms& terms = *setting_->doors[number];
  Life* life = this->life(door.id);
  if (life == nullptr) life = life_of_new(door.id, number, source_number(door.source));
  if (!require(life != nullptr, "lets in somebody who did not knock")) return;
  require(life->door == number && life->source == source_number(door.source) &&
              door.admission == terms.admission && life->has_ports,
          "lets in to other ports than were knocked for, or another source");
  require(admit.is_new == (!life->let_in && !life->dismissed), "'new' is wrong");
  require(!life->dismissed, "lets in again whom it dismissed");
  require(!leaving_, "lets in somebody after the shutdown");
  require(!terms.one_time || life->marked || life->begun,
          "lets somebody in before the sequence was marked");
  require(door.deadline > now_, "lets somebody in whose time is over");
  require(door.deadline <= now_ + terms.open_for, "lets somebody in for too long");
  if (in) {
    std::erase_if(elements_, [&](const Element& one) { return one.opening == door.id; });
    elements_.push_back({door.id, life->door, door.deadline});
    life->let_in = true;
    life->in_until = door.deadline;
  }
  life->kernel_refused = !in;
  machine_->admitted(door.id, in);
}

void World::carry_out(const Dismiss& dismiss) {
  const uint64_t id = dismiss.door.id;
  if (trace_ != nullptr) trace("    dismiss " + std::to_string(id));
  Life* life = this->life(id);
  if (!require(life != nullptr && life->let_in, "dismisses whom it did not let in")) return;
  require(life->source == source_number(dismiss.door.source) &&
              dismiss.door.admission == setting_->doors[life->door]->admission,
          "dismisses somebody else");
  const bool is_too_late = life->of_fleet && life->deadline <= now_;  // to begin at all
  require(is_due(*life) || (leaving_ && !life->begun) || life->dropped || is_too_late,
          "dismisses before the time is over");
  std::erase_if(elements_, [&](const Element& one) { return one.opening == id; });
  life->let_in = false;
  life->dismissed = true;
}

void World::carry_out(const Record& record) {
  const OpenDoor& door = record.door;
  if (trace_ != nullptr) trace("    record " + door.door + " " + std::to_string(door.id));
  const size_t number = door_number(door.door);
  const Terms& terms = *setting_->doors[number];
  Life* life = this->life(door.id);
  require(record.is_new == (on_disk(door.id) == nullptr),
          "a record is new, or is not, and says otherwise");
  if (life == nullptr && record.is_new) {
    life = life_of_new(door.id, number, source_number(door.source));
  }
  if (!require(life != nullptr, "a record of an opening that nobody knocked for")) return;
  // A late start command gives the opening its full time again, as one of this gateway.
  const bool may_start_late = life->has_start && !life->begun && !life->of_fleet;
  require(door.gateway == (life->of_gateway ? "b" : "") || (door.gateway.empty() && may_start_late),
          "a record has the word of another gateway");
  require(life->door == number && life->source == source_number(door.source) &&
              door.stop_command == render_command(terms.stop, door.source) &&
              door.admission == terms.admission && life->has_something_to_undo(),
          "a record is not what was knocked for");
  require(!life->has_ports || life->let_in, "a record before its knocker was let in");
  require(door.id != kept_out_, "a record of an opening that the kernel refused");
  require(door.deadline >= life->knocked + terms.open_for,
          "a record with less than the time that was knocked for");
  require(!terms.one_time || life->marked || life->begun,
          "a record before its sequence was marked");
  unsynced_.push_back({false, door});
}

void World::carry_out(const Forget& forget) {
  if (trace_ != nullptr) trace("    forget " + std::to_string(forget.door.id));
  Life* life = this->life(forget.door.id);
  if (!require(life != nullptr && on_disk(forget.door.id) != nullptr,
               "forgets what is not recorded")) {
    return;
  }
  const bool may_be_open = life->begun && !life->closed && !life->stop_failed;
  require(
      !may_be_open || !life->has_stop || (leaving_ && !life->has_start && life->deadline > now_),
      "forgets an opening that is still open");
  require(!life->start_running && !life->stop_running, "forgets an opening whose command runs");
  require(!life->let_in && element(life->id) == nullptr, "forgets somebody who is let in");
  unsynced_.push_back({true, forget.door});
  erase(forget.door.id);
}

void World::carry_out(const Happened& happened) {
  using What = Happened::What;
  const uint64_t id = happened.door.id;
  if (happened.what == What::kRefused) return require(id == 0, "refused, and has an id"), void();
  if (happened.what == What::kClosed) {
    require(told_.erase(id) == 1, "it is told of a closing that nobody was told is open");
    require(life(id) == nullptr, "it is told of a closing before all is undone");
    return;
  }
  Life* life = this->life(id);
  if (life == nullptr) {
    life = life_of_new(id, door_number(happened.door.door), source_number(happened.door.source));
  }
  if (!require(life != nullptr, "it is told of an opening that nobody knocked for")) return;
  if (happened.what == What::kRenewed) {
    require(told_.contains(id), "it is told of a renewal of what nobody was told is open");
    return;
  }
  require(life->synced, "it is told of an opening before it is recorded");
  if (life->has_something_to_undo()) require(told_.insert(id).second, "it is told twice");
}

void World::carry_out(const RunCommand& run) {
  const size_t door = door_number(run.door);
  const size_t source = source_number(*run.source);
  const bool start = run.kind == CommandKind::kStart;
  if (trace_ != nullptr) {
    trace(std::string("    run ") + (start ? "start" : "stop") + " of " + run.door + " " +
          std::to_string(run.opening));
  }
  Life* life = this->life(run.opening);
  if (life == nullptr && start) life = life_of_new(run.opening, door, source);
  if (!require(life != nullptr, "runs a command of an opening that nobody knocked for")) return;
  const Terms& terms = *setting_->doors[door];
  require(life->door == door && life->source == source, "a command of another door or source");
  require(run.command == render_command(start ? terms.start : terms.stop, *run.source),
          "not the command of the door");
  require(has_place(run.kind, door), "runs a command for which there is no place");
  if (start) {
    begin_start(run, *life);
    started_ = true;
  } else {
    begin_stop(run, *life);
    require(!started_, "a start went before a stop");
  }
  ran_ = true;
  processes_.push_back({run.opening, run.kind, life->door, life->source, now_});
}

void World::begin_start(const RunCommand& run, Life& life) {
  const Terms& terms = *setting_->doors[life.door];
  require(life.has_start && !life.begun, "a start begins twice");
  require(!leaving_, "a start begins after the shutdown");
  require(!life.has_something_to_undo() || is_durable(life.id) != nullptr,
          "a start begins before it is recorded");
  require(run.opening != kept_out_, "a start of an opening that the kernel refused");
  require(!terms.one_time || life.marked, "a start begins before its sequence was marked");
  require(run.again == life.start_again, "'again' is wrong");
  require(!run.again || life.tried < now_, "a command is tried again without a pause");
  for (const Process& process : processes_) {
    require(!holds_lane(process, life), "a start overlaps with a command of its door and source");
  }
  require(!lane_has_due_stop(life.door, life.source), "a start goes before a stop that is due");
  life.begun = life.start_running = true;
  life.start_again = false;
  if (now_ + terms.open_for - life.deadline > kPrompt && !life.of_fleet) {
    life.deadline = now_ + terms.open_for;
    life.of_gateway = false;
  }
  require(life.deadline > now_, "a start begins when its time is over");
  if (life.has_ports) check_in(life, "a start begins whose knocker is not in for all of its time");
}

void World::begin_stop(const RunCommand& run, Life& life) {
  require(life.has_stop && !life.stop_running && !life.closed, "a stop begins twice");
  require(life.begun, "a stop begins before its start");
  require(is_due(life), "a stop begins before its time");
  require(!life.let_in, "a stop begins before its knocker was dismissed");
  require(!life.stopped_once || !life.start_running,
          "a stop is repeated before its start has ended");
  require(run.again == life.stop_again, "'again' is wrong");
  require(!run.again || life.tried < now_ || last_end_ == now_,
          "a command is tried again without a pause");
  require(on_disk(life.id) != nullptr, "a stop of what was forgotten");
  for (Process& process : processes_) {
    if (!holds_lane(process, life)) continue;
    require(can_overtake(process), "a stop overlaps with a command of its door and source");
    process.overtaken = true;
  }
  life.stop_again = false;
  life.stop_running = true;
  life.stop_follows = !life.start_running;
}

}  // namespace knockd::openings_test
