// SPDX-License-Identifier: MIT
// How much of a door is in use: its openings, its starts that have not begun, and its cooldown; and
// whether that is too much. Pure; the clock is an argument.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/knock/command_queue.h"
#include "knockd/net/address.h"

namespace knockd {

class DoorUse {
 public:
  // `line`: the door's in the queues of commands.
  explicit DoorUse(LineNumber line) : line_(line) {}
  LineNumber line() const { return line_; }

  // Openings with something to undo.
  void add_opening() { ++open_; }
  void remove_opening() { --open_; }
  // Starts that have not begun.
  void add_start(const IpAddress& source);
  // REQUIRES: it was added.
  void remove_start(const IpAddress& source);
  // The number of sources with such starts, for tests.
  size_t starting_sources() const { return starts_of_.size(); }

  void cool_until(Instant end) { cooling_until_ = end; }
  bool is_cooling(Instant now) const { return now < cooling_until_; }

  // Why the opening or start that was added last is one too many; empty if it is not.
  std::string too_many_open(size_t most) const;
  std::string too_many_starts(size_t most) const;
  // A source may have a quarter of the places that the others leave, at least one. So one source
  // never takes all, and four do not either. REQUIRES: a start of this source was added.
  std::string too_many_starts_of(const IpAddress& source, size_t most) const;

 private:
  LineNumber line_;
  size_t open_ = 0;
  size_t starts_ = 0;
  std::map<IpAddress, size_t> starts_of_;  // without zeros: sources may be forged
  Instant cooling_until_ = Instant::min();
};

}  // namespace knockd
