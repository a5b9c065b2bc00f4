// SPDX-License-Identifier: MIT
// A configuration while it is read: its values so far, and the errors. The parser and the readers
// of values both fill it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/files.h"

namespace knockd {

struct Draft {
  static constexpr size_t kMostComplaints = 1000;  // a file with more is no configuration

  ConfigFiles& files;  // which directives may name
  Config config;
  Door door;  // the one that is being read
  std::vector<Complaint> errors;

  // Both ignore complaints after the first kMostComplaints. `write` as in Complaint.
  void error(Place place, std::string message, std::string write = "");
  void remark(Place place, std::string message, std::string write = "");
};

// A value of a directive.
struct Value {
  std::string_view key;   // as the user wrote it
  std::string_view text;  // by its form: without its comment, or unchanged
  Place place;            // of the text
  std::string_view expects;
};

// Refuses faulty directives and combinations at doors that open ports without a command.
void check_admissions(Draft& draft);
// The same for doors with places that change with time.
void check_codes(Draft& draft);

}  // namespace knockd
