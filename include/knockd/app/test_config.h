// SPDX-License-Identifier: MIT
// The output of -t for a configuration: each finding with its line, a caret under the place, and
// what to write instead if known.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"

namespace knockd {

struct TestReport {
  bool is_good = false;  // whether the configuration can be used
  std::string text;      // whole lines
};

// Calls `warnings_of` for the warnings of a configuration without errors.
TestReport test_config(const std::string& file,
                       const std::function<std::vector<Complaint>(const Config&)>& warnings_of);

}  // namespace knockd
