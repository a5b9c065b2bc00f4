// SPDX-License-Identifier: MIT
// Which sequences of the doors are in force, and how a one-time sequence is used up: struck out in
// its file before its door opens, then the next ones take its place. How a file is marked and
// locked is said in config/one_time_list.h.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/file_calls.h"
#include "knockd/base/log.h"
#include "knockd/config/config.h"
#include "knockd/config/door_rules.h"
#include "knockd/knock/action.h"
#include "knockd/message/messages.h"

namespace knockd {

struct OneTimeUse;

// Each change of a door's sequences is a new generation. A knock by an older one was heard by a
// listener that did not know yet, and opens nothing.
class DoorSequences {
 public:
  // The answer to use(), at once or later. `used`: it is struck out, on disk; else nothing opens.
  using Answer = std::function<void(uint64_t opening, bool used)>;
  // What listeners are to know from now on.
  using Announce = std::function<void(const NextSequence&)>;

  // `doors` are read at each renew(), and their names and files at any time.
  DoorSequences(EventLoop& loop, Log& log, const std::vector<Door>& doors, Answer answer,
                Announce announce, FileCalls& calls = FileCalls::real());

  // Takes the doors as they are now, and warns of those whose lists are exhausted. False: they have
  // other rules than before, and listeners know only those.
  bool renew();

  const DoorRules& rules() const { return rules_; }
  uint32_t generation(DoorNumber door) const { return states_[door].generation; }
  // Whether this knock is by a sequence in force, of a list that is not being used just now.
  bool is_in_force(const KnockEvent& open) const;

  // Uses a sequence up. A file that another program has locked is tried again for a while.
  void use(const UseSequence& use);
  // Answers what waits for a file now, in vain if it is still locked: the doors may soon be others.
  void give_up();
  // Forgets what waits for a file.
  void stop() { waiting_.clear(); }

 private:
  struct State {
    uint32_t generation = 0;
    bool is_used = false;  // a knock waits for the file; others are ignored
  };
  struct Waiting {
    UseSequence use;
    Instant give_up_at;
  };

  void try_all();
  bool try_once(const Waiting& waiting);
  bool report(const Door& door, const OneTimeUse& use, size_t skipped);
  void put_in_force(DoorNumber door, const std::vector<Sequence>& sequences);

  EventLoop& loop_;
  Log& log_;
  const std::vector<Door>& doors_;
  const Answer answer_;
  const Announce announce_;
  FileCalls& calls_;
  DoorRules rules_;
  std::vector<State> states_;  // by door number
  std::vector<Waiting> waiting_;
  EventLoop::Alarm again_;
};

}  // namespace knockd
