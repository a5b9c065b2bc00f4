// SPDX-License-Identifier: MIT
// Chooses the next waiting command to run. Commands of one kind (starts or stops) share the places
// of one queue; each door has its own line, so that a flooded door delays no other. Independent of
// processes: `Openings` runs the commands that it takes out.
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

// A door without a running command has a place of its own, as long as fewer than `own` doors use
// theirs. `shared` more places go to the door with the fewest running commands; doors with equally
// many take turns. The commands of a door run in the order in which they were added.
class CommandQueue {
 public:
  CommandQueue(size_t own, size_t shared) : own_(own), shared_(shared) {}

  // `command` is a number chosen by the caller; it must not be waiting already.
  void add(LineNumber line, uint64_t command);
  // Removes a command. REQUIRES: it waits.
  void remove(LineNumber line, uint64_t command);
  // The next command to run, which now occupies a place. Nothing if none waits or no place is free.
  std::optional<uint64_t> take();
  // Frees the place of a command that was taken.
  void give_back(LineNumber line);

  size_t running() const { return running_; }
  size_t waiting() const { return waiting_; }
  // The line whose turn it is when a place becomes free. REQUIRES: waiting() != 0.
  LineNumber next_line() const { return std::get<2>(*order_.begin()); }

 private:
  struct Line {
    std::list<uint64_t> commands;  // waiting
    size_t running = 0;
    uint64_t last_turn = 0;
  };
  using Rank = std::tuple<size_t, uint64_t, LineNumber>;  // running, last turn, number

  static Rank rank(LineNumber number, const Line& line) {
    return {line.running, line.last_turn, number};
  }
  bool has_place_for(const Line& line) const;
  // Changes a line, and its rank among those with waiting commands.
  template <typename Change>
  void change(LineNumber number, Change&& change);

  const size_t own_;
  const size_t shared_;
  std::map<LineNumber, Line> lines_;  // with waiting or running commands
  std::set<Rank> order_;              // of the lines with waiting commands
  size_t running_ = 0;
  size_t running_lines_ = 0;
  size_t waiting_ = 0;
  uint64_t turns_ = 0;
};

}  // namespace knockd
