// SPDX-License-Identifier: MIT
// An error or warning about a configuration, with its place: the form of all findings of the parser
// and the checks of -t.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace knockd {

// A place in a configuration; lines and columns (in bytes) count from 1, 0 means the whole line or
// file.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;
  bool is_whole_file = false;  // shown without a line, whatever `line` is
};

struct Complaint {
  enum class Severity : uint8_t { kError, kWarning };

  Severity severity = Severity::kError;
  Place place;
  std::string message;  // one line, safe for a terminal
  std::string write{};  // what to write in place of the line, or of the part; empty: not known

  // "file:line:column: message", without parts that are 0; a warning's message begins with
  // "warning: ".
  std::string to_string() const;
};

// By file (in the order of `files`), line and column.
void sort_by_place(std::vector<Complaint>& complaints, const std::vector<std::string>& files);

}  // namespace knockd
