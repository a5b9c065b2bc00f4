// SPDX-License-Identifier: MIT
// The daemon's status as one value, and its output as a table, JSON, Prometheus' text format, and
// the lines of SIGUSR1. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/control/failed_attempts.h"
#include "knockd/net/address.h"

namespace knockd {

// Totals since the daemon started. Counts of listeners are as old as their last answer.
struct DoorTotals {
  uint64_t begun = 0;            // attempts: first knocks
  uint64_t opened = 0;           // openings
  uint64_t timed_out = 0;        // attempts that took too long
  uint64_t wrong = 0;            // ended by a wrong knock
  uint64_t discarded = 0;        // ended because the source scans ports
  uint64_t refused = 0;          // complete knocks, by Max_Open or waiting commands
  uint64_t commands_failed = 0;  // could not be run, were killed, or returned non-zero

  friend bool operator==(const DoorTotals&, const DoorTotals&) = default;
};

struct InterfaceReport {
  std::string name;
  std::string waits_because;  // empty: a listener runs
  std::vector<IpAddress> addresses;
  std::string link_type;
  bool filter_in_kernel = true;
  uint64_t packets = 0;  // copied by the kernel to the listener
  uint64_t lost = 0;     // not copied
  uint64_t sources = 0;  // remembered
  Duration age{};        // of these numbers
};

struct DoorReport {
  std::string name;
  DoorTotals totals;
  uint64_t open = 0;
  Duration open_for{};               // Cmd_Timeout
  bool closes = false;               // has something to undo
  std::vector<std::string> users{};  // with a secret
};

struct OpeningReport {
  uint64_t id = 0;
  std::string door;
  IpAddress address;
  std::string network;  // the admitted one: the address, or with a prefix
  std::string interface;
  std::string user;               // the owner of the code; empty: no code
  std::string fleet;              // the gateway that requested it; empty: opened here
  std::optional<WallTime> since;  // absent: opened in an earlier run
  WallTime until{};
  Duration left{};
};

struct StatusReport {
  std::string version;
  int pid = 0;
  WallTime time{};
  Duration uptime{};
  std::string config_file;
  WallTime config_read{};
  bool config_changed = false;  // the file has changed since it was read
  bool clock_is_kept = false;   // by the kernel, a time service keeps the clock right
  uint32_t max_sources = 0;     // of each listener
  uint64_t commands_running = 0;
  uint64_t commands_waiting = 0;
  std::vector<InterfaceReport> interfaces;
  std::vector<DoorReport> doors;
  std::vector<OpeningReport> openings;  // the oldest first
  std::vector<FailedAttempt> attempts;  // the oldest first
};

// Wall times are in the local time zone.
std::string to_table(const StatusReport& report);
// One line.
std::string to_json(const StatusReport& report);
// The text format, version 0.0.4. Without addresses, because scrapers keep data for long.
std::string to_prometheus(const StatusReport& report);
// The lines that SIGUSR1 logs.
std::vector<std::string> to_log_lines(const StatusReport& report);

}  // namespace knockd
