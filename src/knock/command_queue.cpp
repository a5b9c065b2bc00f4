// SPDX-License-Identifier: MIT
#include "knockd/knock/command_queue.h"

#include <algorithm>

namespace knockd {

template <typename Change>
void CommandQueue::change(LineNumber number, Change&& change) {
  Line& line = lines_[number];
  order_.erase(rank(number, line));
  const bool ran = line.running != 0;
  waiting_ -= line.commands.size();
  running_ -= line.running;
  change(line);
  waiting_ += line.commands.size();
  running_ += line.running;
  if (ran != (line.running != 0)) running_lines_ += ran ? size_t{0} - 1 : 1;
  if (!line.commands.empty()) {
    order_.insert(rank(number, line));
  } else if (line.running == 0) {
    lines_.erase(number);
  }
}

void CommandQueue::add(LineNumber number, uint64_t command) {
  change(number, [&](Line& line) { line.commands.push_back(command); });
}

void CommandQueue::remove(LineNumber number, uint64_t command) {
  change(number, [&](Line& line) {
    line.commands.erase(std::find(line.commands.begin(), line.commands.end(), command));
  });
}

std::optional<uint64_t> CommandQueue::take() {
  if (order_.empty()) return std::nullopt;
  const LineNumber number = next_line();
  if (!has_place_for(lines_.at(number))) return std::nullopt;
  uint64_t command = 0;
  change(number, [&](Line& line) {
    command = line.commands.front();
    line.commands.pop_front();
    ++line.running;
    line.last_turn = ++turns_;
  });
  return command;
}

void CommandQueue::give_back(LineNumber number) {
  change(number, [](Line& line) { --line.running; });
}

bool CommandQueue::has_place_for(const Line& line) const {
  if (line.running == 0 && running_lines_ < own_) return true;
  return running_ - std::min(running_lines_, own_) < shared_;
}

}  // namespace knockd
