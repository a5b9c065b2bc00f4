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

std::optional<std::string> RefusedKnocks::add(const std::string& door, const std::string& why,
                                              Instant now) {
  const Key key(door, why);
  const auto [found, is_first] = counts_.try_emplace(key);
  Count& count = found->second;
  ++count.untold;
  if (!is_first && now < count.next_report) {
    waiting_.insert(key);
    return std::nullopt;
  }
  waiting_.erase(key);
  return report(key, count, now);
}

std::vector<std::string> RefusedKnocks::due(Instant now) {
  std::vector<std::string> lines;
  std::erase_if(waiting_, [&](const Key& key) {
    Count& count = counts_.at(key);
    if (now < count.next_report) return false;
    lines.push_back(report(key, count, now));
    return true;
  });
  return lines;
}

std::optional<Instant> RefusedKnocks::next_report() const {
  std::optional<Instant> next;
  for (const Key& key : waiting_) {
    const Instant report = counts_.at(key).next_report;
    next = std::min(next.value_or(report), report);
  }
  return next;
}

std::string RefusedKnocks::report(const Key& key, Count& count, Instant now) {
  count.next_report = now + kBetweenReports;
  return refused_line(key.first, std::exchange(count.untold, 0), key.second);
}

}  // namespace knockd
