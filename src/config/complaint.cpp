// SPDX-License-Identifier: MIT
#include "knockd/config/complaint.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <tuple>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {

std::string Complaint::to_string() const {
  std::string text = printable(place.file);
  if (place.line != 0) text += format(":%d", place.line);
  if (place.column != 0) text += format(":%d", place.column);
  text += severity == Severity::kWarning ? ": warning: " : ": ";
  return text + message;
}

void sort_by_place(std::vector<Complaint>& complaints, const std::vector<std::string>& files) {
  // The index is part of the rank: complaints with the same place keep their order.
  std::set<std::tuple<ptrdiff_t, int, int, size_t>> ranks;
  for (size_t i = 0; i < complaints.size(); ++i) {
    const Place& place = complaints[i].place;
    const auto file = std::find(files.begin(), files.end(), place.file);
    ranks.emplace(file - files.begin(), place.line, place.column, i);
  }
  std::vector<Complaint> sorted;
  for (const auto& rank : ranks) sorted.push_back(std::move(complaints[std::get<3>(rank)]));
  complaints = std::move(sorted);
}

}  // namespace knockd
