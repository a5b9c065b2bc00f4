// SPDX-License-Identifier: MIT
#include "knockd/keeper/door_sequences.h"

#include <algorithm>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/config/one_time_list.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

// A file locked by another program: the pause between attempts, and how long to retry.
constexpr Duration kLockPause = std::chrono::milliseconds(20);
constexpr Duration kLockPatience = std::chrono::seconds(2);

}  // namespace

DoorSequences::DoorSequences(EventLoop& loop, Log& log, const std::vector<Door>& doors,
                             Answer answer, Announce announce, FileCalls& calls)
    : loop_(loop),
      log_(log),
      doors_(doors),
      answer_(std::move(answer)),
      announce_(std::move(announce)),
      calls_(calls),
      again_(loop, [this] { try_all(); }) {}

bool DoorSequences::renew() {
  for (const Door& door : doors_) {
    if (!door.rule.sequence.empty()) continue;
    log_.warning(no_more_sequences_line(door.name, door.one_time_file));
  }
  DoorRules rules(doors_);
  const bool are_same =
      states_.size() == doors_.size() && std::ranges::equal(rules_.all(), rules.all());
  rules_ = std::move(rules);
  if (!are_same) states_.assign(doors_.size(), {});
  return are_same;
}

bool DoorSequences::is_in_force(const KnockEvent& open) const {
  const State& state = states_[rules_.door_of(open.door)];
  return open.generation == state.generation && !state.is_used;
}

void DoorSequences::use(const UseSequence& use) {
  states_[use.door].is_used = true;
  waiting_.push_back({use, loop_.now() + kLockPatience});
  try_all();
}

// A locked file does not delay knocks at other doors.
void DoorSequences::try_all() {
  std::erase_if(waiting_, [this](const Waiting& waiting) { return try_once(waiting); });
  if (!waiting_.empty()) again_.set(loop_.now() + kLockPause);
}

// Marks the sequence and answers. False: retry later.
bool DoorSequences::try_once(const Waiting& waiting) {
  const DoorNumber number = waiting.use.door;
  const Door& door = doors_[number];
  const std::vector<Sequence> skipped = rules_.sequences_before(waiting.use.rule);
  const OneTimeUse use =
      use_one_time_sequence(door.one_time_file, rules_.sequence(waiting.use.rule), skipped, calls_);
  const bool is_locked = use.outcome == OneTimeUse::Outcome::kBusy;
  if (is_locked && loop_.now() < waiting.give_up_at) return false;
  states_[number].is_used = false;
  if (!is_locked) put_in_force(number, use.in_force);
  answer_(waiting.use.opening, report(door, use, skipped.size()));
  return true;
}

void DoorSequences::give_up() {
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    waiting.give_up_at = Instant();
    try_once(waiting);
  }
}

// Returns whether the door may open.
bool DoorSequences::report(const Door& door, const OneTimeUse& use, size_t skipped) {
  const char* const name = door.name.c_str();
  const char* const file = door.one_time_file.c_str();
  switch (use.outcome) {
    case OneTimeUse::Outcome::kBusy:
      log_.error(format("%s: one-time file %s is locked by another program; the door stays closed",
                        name, file));
      return false;
    case OneTimeUse::Outcome::kFailed:
      log_.error(format("%s: one-time file %s cannot be marked: %s; the door stays closed", name,
                        file, use.error.c_str()));
      return false;
    case OneTimeUse::Outcome::kNotInForce:
      log_.warning(format("%s: this one-time sequence is no longer in force in %s", name, file));
      break;
    case OneTimeUse::Outcome::kMarked:
      if (skipped != 0) log_.notice(skipped_sequences_line(door.name, skipped));
      break;
  }
  if (use.in_force.empty()) log_.warning(no_more_sequences_line(door.name, door.one_time_file));
  return use.outcome == OneTimeUse::Outcome::kMarked;
}

void DoorSequences::put_in_force(DoorNumber door, const std::vector<Sequence>& sequences) {
  rules_.set_sequences(door, sequences);
  const uint32_t generation = ++states_[door].generation;
  for (const DoorNumber rule : rules_.of_door(door)) {
    const Sequence& sequence = rules_.sequence(rule);
    NextSequence next;
    next.door = rule;
    next.count = static_cast<uint16_t>(sequence.size());
    next.generation = generation;
    std::copy(sequence.begin(), sequence.end(), next.knocks.begin());
    announce_(next);
  }
}

}  // namespace knockd
