// SPDX-License-Identifier: MIT
// A configuration while it is read: what was understood so far, and what is wrong with it. Both the
// parser and the readers of values write there, each what it knows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/files.h"

namespace knockd {

struct Draft {
  static constexpr size_t kMostComplaints = 1000;  // a file with more is none of ours

  ConfigFiles& files;  // which directives may name
  Config config;
  Door door;  // the one that is being read
  std::vector<Complaint> errors;

  // Both ignore what comes behind the first kMostComplaints. `write` as in Complaint.
  void error(Place place, std::string message, std::string write = "");
  void remark(Place place, std::string message, std::string write = "");
};

// A value of a directive.
struct Value {
  std::string_view key;   // as the user wrote it
  std::string_view text;  // as its form says: without its comment, or as it stands
  Place place;            // of the text
  std::string_view expects;
};

// What doors that open ports without a command must not say, alone or together.
void check_admissions(Draft& draft);
// The same of doors with places that change with time.
void check_codes(Draft& draft);

}  // namespace knockd
