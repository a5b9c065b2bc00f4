// SPDX-License-Identifier: MIT
#include "knockd/keeper/admissions.h"

namespace knockd {

void Admissions::hold(uint64_t opening, const std::vector<SetElement>& elements, Instant until,
                      Instant awake_until) {
  release(opening);
  openings_[opening] = {elements, until, awake_until};
  for (const SetElement& element : elements) holders_[element].insert({until, opening});
}

void Admissions::release(uint64_t opening) {
  const auto found = openings_.find(opening);
  if (found == openings_.end()) return;
  for (const SetElement& element : found->second.elements) {
    const auto held = holders_.find(element);
    if (held == holders_.end()) continue;
    held->second.erase({found->second.until, opening});
    if (held->second.empty()) holders_.erase(held);
  }
  openings_.erase(found);
}

const std::vector<SetElement>& Admissions::of(uint64_t opening) const {
  static const std::vector<SetElement> kNothing;
  const auto found = openings_.find(opening);
  return found == openings_.end() ? kNothing : found->second.elements;
}

std::optional<Instant> Admissions::until(const SetElement& element) const {
  const auto held = holders_.find(element);
  if (held == holders_.end()) return std::nullopt;
  return held->second.rbegin()->first;
}

std::optional<Instant> Admissions::awake_until(const SetElement& element) const {
  const auto held = holders_.find(element);
  if (held == holders_.end()) return std::nullopt;
  return openings_.at(held->second.rbegin()->second).awake_until;
}

std::set<SetName> Admissions::sets() const {
  std::set<SetName> sets;
  for (auto held = holders_.begin(); held != holders_.end();) {
    const SetName& set = *sets.insert(held->first.set).first;
    while (held != holders_.end() && held->first.set == set) ++held;
  }
  return sets;
}

}  // namespace knockd
