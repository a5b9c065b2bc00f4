// SPDX-License-Identifier: MIT
// The sequences in force of the doors, and the use of one-time sequences: one is marked in its file
// before its door opens, then the next ones replace it. config/one_time_list.h marks and locks
// files.
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

// Each change of a door's sequences starts a new generation. A knock of an older one comes from a
// listener without the new sequences, and opens nothing.
class DoorSequences {
 public:
  // The answer to use(), at once or later. `used`: marked on disk; else nothing opens.
  using Answer = std::function<void(uint64_t opening, bool used)>;
  // Sends listeners a sequence in force from now on.
  using Announce = std::function<void(const NextSequence&)>;

  // `doors` are read at each renew(), their names and files at any time.
  DoorSequences(EventLoop& loop, Log& log, const std::vector<Door>& doors, Answer answer,
                Announce announce, FileCalls& calls = FileCalls::real());

  // Reads the doors again, and warns of exhausted lists. False: their rules have changed, and
  // listeners only have the old ones.
  bool renew();

  const DoorRules& rules() const { return rules_; }
  uint32_t generation(DoorNumber door) const { return states_[door].generation; }
  // Whether this knock has a sequence in force, of a list that is not in use.
  bool is_in_force(const KnockEvent& open) const;

  // Uses up a sequence. Retries for a while if another program has locked the file.
  void use(const UseSequence& use);
  // Answers all that waits for a file now, with a failure if it is still locked, because the doors
  // are about to change.
  void give_up();
  // Drops all that waits for a file.
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
