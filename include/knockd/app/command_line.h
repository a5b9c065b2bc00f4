// SPDX-License-Identifier: MIT
// The options of knockd(8), from argv to plain values.
#pragma once

#include <string>
#include <vector>

#include "knockd/base/result.h"

namespace knockd {

struct CommandLine {
  enum class Task { kListen, kTest, kReplay, kShut, kUnshut, kAsk, kVersion, kHelp };

  Task task = Task::kListen;
  std::string config_file;           // the default if none was named
  std::string capture_file;          // of kReplay
  std::vector<std::string> request;  // of kAsk: its words, as control/request.h has them
  std::string control;               // the socket to ask at; empty: as the configuration says
  std::vector<std::string> interfaces;
  std::vector<std::string> remarks;  // what was accepted but is odd
  std::string log_file;
  std::string pid_file;
  bool daemon = false;
  bool debug = false;
  bool verbose = false;
  bool lookup = false;
  bool only_v4 = false;
};

// Something on the command line that is not understood, in one line.
struct UsageError {
  std::string text;
};

Result<CommandLine, UsageError> parse_command_line(int argc, char** argv);

// What -h prints.
extern const char kUsage[];

}  // namespace knockd
