// SPDX-License-Identifier: MIT
// What is wrong or doubtful in a configuration, and where: the one form in which the parser and the
// checks of -t speak to the user.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace knockd {

// A place in a configuration; lines and columns (in bytes) count from 1, 0 means the line or the
// file as a whole.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  bool is_whole_file = false;  // whatever the line: there is none to be shown
};

struct Complaint {
  enum class Severity : uint8_t { kError, kWarning };

  Severity severity = Severity::kError;
  Place place;
  std::string message;  // one line, safe for a terminal
  std::string write{};  // what to write in place of the line, or of the part; empty: not known

  // "file:line:column: message", without what is 0, and with "warning: " before the message of a
  // warning.
  std::string to_string() const;
};

// By file (in the order of `files`), line and column.
void sort_by_place(std::vector<Complaint>& complaints, const std::vector<std::string>& files);

}  // namespace knockd
