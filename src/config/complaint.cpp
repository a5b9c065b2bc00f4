// SPDX-License-Identifier: MIT
#include "knockd/config/complaint.h"

#include <utility>

#include "knockd/base/text.h"

namespace knockd {

std::string Complaint::to_string() const {
  std::string text = printable(place.file);
  if (place.line != 0) text += format(":%d:%d", place.line, place.column);
  text += severity == Severity::kWarning ? ": warning: " : ": ";
  return text + message;
}

ConfigError::ConfigError(std::vector<Complaint> complaints) : complaints_(std::move(complaints)) {
  for (const Complaint& complaint : complaints_) {
    if (!what_.empty()) what_ += '\n';
    what_ += complaint.to_string();
  }
}

}  // namespace knockd
