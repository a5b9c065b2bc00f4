// SPDX-License-Identifier: MIT
#include "knockd/knock/refused_knocks.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

constexpr Duration kBetweenReports = std::chrono::minutes(1);

}  // namespace

std::optional<std::string> RefusedKnocks::add(const std::string& name, const std::string& why,
                                              Instant now) {
  const auto [found, is_first] = doors_.try_emplace(name);
  Door& door = found->second;
  ++door.untold;
  door.why = why;
  if (!is_first && now < door.next_report) {
    waiting_.insert(name);
    return std::nullopt;
  }
  waiting_.erase(name);
  return report(name, door, now);
}

std::vector<std::string> RefusedKnocks::due(Instant now) {
  std::vector<std::string> lines;
  std::erase_if(waiting_, [&](const std::string& name) {
    Door& door = doors_.at(name);
    if (now < door.next_report) return false;
    lines.push_back(report(name, door, now));
    return true;
  });
  return lines;
}

std::optional<Instant> RefusedKnocks::next_report() const {
  std::optional<Instant> next;
  for (const std::string& name : waiting_) {
    const Instant report = doors_.at(name).next_report;
    next = std::min(next.value_or(report), report);
  }
  return next;
}

std::string RefusedKnocks::report(const std::string& name, Door& door, Instant now) {
  door.next_report = now + kBetweenReports;
  return refused_line(name, std::exchange(door.untold, 0), door.why);
}

}  // namespace knockd
