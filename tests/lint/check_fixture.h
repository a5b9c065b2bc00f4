// SPDX-License-Identifier: MIT
// What -t warns of in a text, on a machine that a test makes up.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "knockd/config/parser.h"
#include "knockd/lint/check.h"
#include "tests/config/text_files.h"

namespace knockd {

class FakeSurroundings : public Surroundings {
 public:
  std::set<std::string> programs = {"iptables", "ip6tables", "nft"};
  std::map<std::string, unsigned> modes = {{"k.conf", 0640}};
  std::set<std::string> interfaces = {"eth0"};
  std::map<std::string, std::string> chains;  // by "TOOL CHAIN"
  std::optional<std::string> listed;          // the ruleset
  std::vector<std::string> others;
  bool clock_in_sync = true;

  bool has_program(const std::string& name) const override { return programs.contains(name); }
  std::optional<unsigned> file_mode(const std::string& path) const override {
    const auto found = modes.find(path);
    return found == modes.end() ? std::nullopt : std::optional(found->second);
  }
  bool has_interface(const std::string& name) const override { return interfaces.contains(name); }
  bool has_group(const std::string& name) const override { return name == "users"; }
  std::string iptables_chain(const std::string& tool, const std::string& chain) const override {
    const auto found = chains.find(tool + ' ' + chain);
    return found == chains.end() ? std::string() : found->second;
  }
  bool is_clock_in_sync() const override { return clock_in_sync; }
  std::optional<std::string> ruleset() const override { return listed; }
  std::vector<std::string> other_entrances() const override { return others; }
};

// A door on lines 1 to 3 that gives no warning.
inline std::string door_with_sequence(const std::string& sequence, const std::string& name = "d") {
  return '[' + name + "]\nsequence = " + sequence + "\ntcpflags = syn\n";
}

class CheckTest : public testing::Test {
 protected:
  // The warnings, one a line.
  std::string warnings(const std::string& text) {
    std::string lines;
    for (const Complaint& warning : check(*parse_config(text, "k.conf", files_), here_)) {
      EXPECT_EQ(warning.severity, Complaint::Severity::kWarning);
      lines += warning.to_string() + '\n';
    }
    return lines;
  }

  // The same for a door with this sequence.
  std::string warnings_of_sequence(const std::string& sequence) {
    return warnings(door_with_sequence(sequence));
  }

  // The same for a door without warnings plus these lines, from line 4.
  std::string warnings_of_door_with(const std::string& lines) {
    return warnings(door_with_sequence("3856,7129,2487") + lines);
  }

  TextFiles files_;
  FakeSurroundings here_;
};

}  // namespace knockd
