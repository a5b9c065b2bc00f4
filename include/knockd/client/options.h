// SPDX-License-Identifier: MIT
// The command line of `knock` as plain values. Reads no files and queries no name server: others
// find the sequence of a door and the address of the host.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "knockd/base/clock.h"
#include "knockd/client/failure.h"
#include "knockd/knock/code_places.h"
#include "knockd/knock/sequence.h"
#include "knockd/net/address.h"
#include "knockd/net/tcp_flags.h"

namespace knockd::client {

enum class Family : uint8_t { kAny, kV4, kV6 };

struct Options {
  enum class Task : uint8_t { kKnock, kHelp, kVersion };
  // What to print for others to knock with, instead of knocking.
  enum class Handout : uint8_t { kNone, kPage, kKnockOnPorts };

  Task task = Task::kKnock;
  Handout handout = Handout::kNone;
  std::string host;
  Sequence knocks;    // empty: from `door` or `one_time_file`
  CodePlaces places;  // of the knocks that change with time, by a secret
  Family family = Family::kAny;
  bool verbose = false;

  // Between two knocks. Packets to different ports may take different queues and paths and overtake
  // each other, but seldom by more than a few milliseconds.
  Duration delay = std::chrono::milliseconds(50);
  std::optional<uint8_t> flags;  // of tcp knocks, bits of tcp_flags.h; absent: a plain connection
  std::string interface;         // empty: by the routes
  std::optional<IpAddress> source;

  std::string config_file;    // that has `door`
  std::string door;           // empty: none
  std::string one_time_file;  // empty: none
  std::string secrets_file;   // for places that change; empty: that of `door`
  std::string user;           // of secrets_file; empty: the only one

  std::optional<Duration> keep;  // how long the door is open; present: keep it open, until a signal
  std::optional<uint16_t> check_port;  // the port that the knocks should open
  bool check_port_of_door = false;     // use that of `door`, if known; else `check_port`
  bool carry = false;                  // connect standard input and output to the opened port
  Duration timeout = std::chrono::seconds(5);  // for the port to open, after the last knock
  unsigned retries = 0;                        // further rounds of knocks if it does not
};

// Reads argv of main(). Options may be anywhere before "--". The first other word is the host,
// unless --target names it, and the remaining ones are knocks. Fails with kUsage.
OrFailure<Options> parse_options(int argc, char** argv);

const char* usage_text();

}  // namespace knockd::client
