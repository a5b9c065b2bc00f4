// SPDX-License-Identifier: MIT
#include "knockd/config/complaint.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {

std::string Complaint::to_string() const {
  std::string text = printable(place.file);
  if (place.line != 0) text += format(":%d:%d", place.line, place.column);
  text += severity == Severity::kWarning ? ": warning: " : ": ";
  return text + message;
}

void sort_by_place(std::vector<Complaint>& complaints, const std::vector<std::string>& files) {
  const auto rank = [&files](const Complaint& complaint) {
    const auto file = std::find(files.begin(), files.end(), complaint.place.file);
    return std::make_tuple(file - files.begin(), complaint.place.line, complaint.place.column);
  };
  std::stable_sort(complaints.begin(), complaints.end(),
                   [&](const Complaint& a, const Complaint& b) { return rank(a) < rank(b); });
}

ConfigError::ConfigError(std::vector<Complaint> complaints) : complaints_(std::move(complaints)) {
  for (const Complaint& complaint : complaints_) {
    if (!what_.empty()) what_ += '\n';
    what_ += complaint.to_string();
  }
}

}  // namespace knockd
