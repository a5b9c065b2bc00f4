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
  std::string config_file;           // the default if not given
  std::string capture_file;          // of kReplay
  std::vector<std::string> request;  // of kAsk: its words, as in control/request.h
  std::string control;               // the socket; empty: by the configuration
  std::vector<std::string> interfaces;
  std::vector<std::string> remarks;  // on accepted but odd options
  std::string log_file;
  std::string pid_file;
  bool daemon = false;
  bool debug = false;
  bool verbose = false;
  bool lookup = false;
  bool only_v4 = false;
};

// An error on the command line, in one line.
struct UsageError {
  std::string text;
};

Result<CommandLine, UsageError> parse_command_line(int argc, char** argv);

// What -h prints.
extern const char kUsage[];

}  // namespace knockd
