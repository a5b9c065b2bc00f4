// SPDX-License-Identifier: MIT
// What a configuration says, as plain values; the parser fills it, everyone else only reads it.
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

// Where each directive that was given stands, by its full name as the table of directives has it
// ("Start_Command", also for its alias). The keys are literals.
using Places = std::map<std::string_view, Place>;

// What SIGTERM does with open doors.
enum class Shutdown : uint8_t { kClose, kKeep };

struct Door {
  std::string name;
  Place place;                            // of its [name]
  DoorRule rule;                          // with one-time sequences: the first in force, or none
  std::string one_time_file;              // empty: a fixed sequence
  std::string secrets_file;               // empty: no place changes with time
  std::vector<User> users;                // of that
  std::vector<Sequence> sequences_ahead;  // of the one-time file: the others that are in force
  std::string start_command;              // empty: nothing is run
  std::string stop_command;
  std::optional<std::string> start_command_6;  // absent: the plain one; empty: nothing is run
  std::optional<std::string> stop_command_6;
  Duration cmd_timeout = kDefaultOpenFor;
  Reknock reknock = Reknock::kRun;
  uint32_t max_open = kDefaultMaxOpen;  // openings with something to undo, at a time
  std::vector<Knock> open;              // ports that it lets the knocker in to, without a command
  std::optional<SetName> open_set;      // by these sets; absent: the global ones
  std::optional<SetName> open_set_6;
  uint8_t prefix_v4 = 128;  // of the network that is let in, as in Admission
  uint8_t prefix_v6 = 128;
  bool keep_established = true;  // connections through its ports outlive the opening
  Places places;

  // Whether it opens ports, or a set, without a command.
  bool lets_in() const { return !open.empty() || open_set || open_set_6; }
  // Whether some of its places change with time.
  bool has_codes() const { return !rule.places.empty(); }
  CodedSequence sequence() const { return {rule.sequence, rule.places}; }
  // Where the directive stands; the door's [name] if it was not given.
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
  std::string control_group;  // empty: nobody but the daemon's user may ask
  Shutdown shutdown = Shutdown::kClose;
  Bounds bounds;
  std::optional<SetName> open_set;  // of doors with Open; absent: knockd's own table
  std::optional<SetName> open_set_6;
  std::string table = "knockd";    // the name of that
  std::vector<Door> doors;         // in the order of the file; at most kMaxDoors
  std::vector<std::string> files;  // every configuration file that was read, `file` first
  std::vector<Complaint> remarks;  // what the parser accepted but found odd; for -t
  Places places;                   // of the global directives

  // Where the global directive stands; the file as a whole if it was not given.
  Place place_of(std::string_view directive) const {
    const auto found = places.find(directive);
    return found == places.end() ? Place{file, 0, 0} : found->second;
  }
};

// Whether the door's ports are those of knockd's own table.
bool is_in_own_table(const Config& config, const Door& door);
// How a door lets in the knockers of one address family without a command; nothing if it does not.
std::optional<Admission> admission_of(const Config& config, const Door& door, bool is_v4);
// The ports that knockd itself keeps shut, and how. `interfaces`: at which; empty: at all but
// loopback. Without `ipv6` nobody is let in over that.
ShutTable shut_table_of(const Config& config, const std::vector<std::string>& interfaces,
                        bool ipv6);

// Where the last table that the kernel took is kept, beside the state file; empty: nowhere.
std::string kept_table_file(const Config& config);

// Where used codes are kept, beside the state file; empty: nowhere, and codes open nothing.
std::string code_file_of(const Config& config);

// A configuration that cannot be used: every error that was found in it, never none.
struct ConfigError {
  std::vector<Complaint> complaints;
  Config read;  // as far as it could be read, with defaults for the rest
};

inline constexpr size_t kMaxDoors = 65535;

}  // namespace knockd
