// SPDX-License-Identifier: MIT
#include "knockd/config/draft.h"

#include <utility>

namespace knockd {

void Draft::error(Place place, std::string message, std::string write) {
  if (errors.size() == kMostComplaints) return;
  if (errors.size() + 1 == kMostComplaints) {
    message = "too many errors: the rest is left out";
    write.clear();
  }
  errors.push_back(
      {Complaint::Severity::kError, std::move(place), std::move(message), std::move(write)});
}

void Draft::remark(Place place, std::string message, std::string write) {
  if (config.remarks.size() == kMostComplaints) return;
  config.remarks.push_back(
      {Complaint::Severity::kWarning, std::move(place), std::move(message), std::move(write)});
}

}  // namespace knockd
