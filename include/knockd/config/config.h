// SPDX-License-Identifier: MIT
// A configuration as plain values; the parser fills it, all others only read it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/code/secrets_file.h"
#include "knockd/config/complaint.h"
#include "knockd/knock/defaults.h"
#include "knockd/knock/door.h"
#include "knockd/knock/opening.h"
#include "knockd/knock/shut_table.h"

namespace knockd {

inline constexpr const char* kDefaultConfigFile = KNOCKD_SYSCONFDIR "/knockd.conf";

// The place of each given directive, by its full name in the table of directives ("Start_Command",
// also for its alias). The keys are literals.
using Places = std::map<std::string_view, Place>;

// What SIGTERM does with open doors.
enum class Shutdown : uint8_t { kClose, kKeep };

struct Door {
  std::string name;
  Place place;                            // of its [name]
  DoorRule rule;                          // with one-time sequences: the first in force, or none
  std::string one_time_file;              // empty: a fixed sequence
  std::string secrets_file;               // empty: no place changes with time
  std::vector<User> users;                // of secrets_file
  std::vector<Sequence> sequences_ahead;  // the others in force of the one-time file
  std::string start_command;              // empty: nothing is run
  std::string stop_command;
  std::optional<std::string> start_command_6;  // absent: the plain one; empty: nothing is run
  std::optional<std::string> stop_command_6;
  Duration cmd_timeout = kDefaultOpenFor;
  Reknock reknock = Reknock::kRun;
  uint32_t max_open = kDefaultMaxOpen;  // simultaneous openings with something to undo
  std::vector<Knock> open;              // ports opened for the knocker without a command
  std::optional<SetName> open_set;      // with these sets; absent: the global ones
  std::optional<SetName> open_set_6;
  uint8_t prefix_v4 = 128;  // of the admitted network, as in Admission
  uint8_t prefix_v6 = 128;
  bool keep_established = true;  // connections to its ports outlive the opening
  Places places;

  // Whether it opens ports or a set without a command.
  bool lets_in() const { return !open.empty() || open_set || open_set_6; }
  // Whether some of its places change with time.
  bool has_codes() const { return !rule.places.empty(); }
  CodedSequence sequence() const { return {rule.sequence, rule.places}; }
  // The place of the directive; the door's [name] if it was not given.
  const Place& place_of(std::string_view directive) const {
    const auto found = places.find(directive);
    return found == places.end() ? place : found->second;
  }
};

struct Config {
  std::string file;  // the path it was read from
  bool use_syslog = false;
  std::string log_file;  // empty: none
  std::string pid_file = "/var/run/knockd.pid";
  std::vector<std::string> interfaces;  // as named, without repeats; empty: none was named
  std::string on_start;                 // empty: nothing
  std::string on_stop;
  std::string state_file = "/var/lib/knockd/open-doors";  // empty: none is kept
  std::optional<std::string> control;                     // absent: at its usual place; empty: none
  std::string control_group;  // empty: only the daemon's user may connect
  Shutdown shutdown = Shutdown::kClose;
  Bounds bounds;
  std::optional<SetName> open_set;  // of doors with Open; absent: knockd's own table
  std::optional<SetName> open_set_6;
  std::string table = "knockd";    // the name of knockd's own table
  std::vector<Door> doors;         // in the order of the file; at most kMaxDoors
  std::vector<std::string> files;  // every configuration file that was read, `file` first
  std::vector<Complaint> remarks;  // what the parser accepted but found odd; for -t
  Places places;                   // of the global directives

  // The place of the global directive; the whole file if it was not given.
  Place place_of(std::string_view directive) const {
    const auto found = places.find(directive);
    return found == places.end() ? Place{file, 0, 0} : found->second;
  }
};

// Whether the door's ports are in knockd's own table.
bool is_in_own_table(const Config& config, const Door& door);
// How a door lets in knockers of one address family without a command; nothing if it does not.
std::optional<Admission> admission_of(const Config& config, const Door& door, bool is_v4);
// The ports that knockd itself keeps shut, and how. `interfaces`: where; empty: all but loopback.
// Without `ipv6` no IPv6 source is let in.
ShutTable shut_table_of(const Config& config, const std::vector<std::string>& interfaces,
                        bool ipv6);

// The file with the last table that the kernel accepted, beside the state file; empty: none.
std::string kept_table_file(const Config& config);

// The file of used codes, beside the state file; empty: none, and codes open nothing.
std::string code_file_of(const Config& config);

// A configuration that cannot be used: every error found in it, at least one.
struct ConfigError {
  std::vector<Complaint> complaints;
  Config read;  // as far as it could be read, with defaults for the rest
};

inline constexpr size_t kMaxDoors = 65535;

}  // namespace knockd
