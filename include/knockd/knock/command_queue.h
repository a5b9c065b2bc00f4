// SPDX-License-Identifier: MIT
// Which of the waiting commands may run next. Commands of one kind (starts, or stops) share the
// places of one queue; each door waits in a line of its own, so that a flooded door delays no
// other. Knows no processes: `Openings` runs what it takes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <tuple>

namespace knockd {

// A door's number in a queue.
using LineNumber = uint32_t;

// A door with nothing running has a place of its own, as long as fewer than `own` doors use theirs;
// `shared` more places go to the door with the fewest commands running, doors with equally many by
// turns. Within a door commands run in the order in which they were added.
class CommandQueue {
 public:
  CommandQueue(size_t own, size_t shared) : own_(own), shared_(shared) {}

  // `command` is a number that the caller chooses; it must not be waiting already.
  void add(LineNumber line, uint64_t command);
  // Takes back one. REQUIRES: it waits.
  void remove(LineNumber line, uint64_t command);
  // The next command that may run; it has taken its place. Nothing if none waits or no place is
  // free.
  std::optional<uint64_t> take();
  // A command that was taken needs its place no longer.
  void give_back(LineNumber line);

  size_t running() const { return running_; }
  size_t waiting() const { return waiting_; }
  // The line whose turn it is when a place becomes free. REQUIRES: waiting() != 0.
  LineNumber next_line() const { return std::get<2>(*order_.begin()); }

 private:
  struct Line {
    std::list<uint64_t> commands;  // that wait
    size_t running = 0;
    uint64_t last_turn = 0;
  };
  using Rank = std::tuple<size_t, uint64_t, LineNumber>;  // running, last turn, number

  static Rank rank(LineNumber number, const Line& line) {
    return {line.running, line.last_turn, number};
  }
  bool has_place_for(const Line& line) const;
  // Changes a line, and its rank among those that wait with it.
  template <typename Change>
  void change(LineNumber number, Change&& change);

  const size_t own_;
  const size_t shared_;
  std::map<LineNumber, Line> lines_;  // that wait or run
  std::set<Rank> order_;              // of the lines in which commands wait
  size_t running_ = 0;
  size_t running_lines_ = 0;
  size_t waiting_ = 0;
  uint64_t turns_ = 0;
};

}  // namespace knockd
