// SPDX-License-Identifier: MIT
// The output of `Openings`. The keeper carries out actions in order; replay prints them.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "knockd/base/log.h"
#include "knockd/knock/opening.h"

namespace knockd {

// Log a line: "SOURCE: TEXT", or only TEXT without a source.
struct Say {
  LogLevel level = LogLevel::kNotice;
  std::optional<IpAddress> source;
  std::string text;
  bool may_be_left_out = false;  // strangers can cause it: Log_Rate applies
};

// Mark the door's one-time sequence, or the code, as used, on disk; then call
// Openings::sequence_used().
struct UseSequence {
  uint64_t opening = 0;
  DoorNumber door = kNoDoor;
  DoorNumber rule = kNoDoor;  // of the tracker: the door's sequence that was knocked
  IpAddress source{};
  CodeTag code{};  // at a door with codes: the code
};

// Record that this door is open until its deadline; `is_new` if it has no record yet. When all
// records are on disk, call Openings::recorded().
struct Record {
  OpenDoor door;
  bool is_new = true;
};

// Let the knocker in until the deadline, new or changed; then call Openings::admitted(). Log it if
// `is_new`.
struct Admit {
  OpenDoor door;
  bool is_new = true;
};

// Stop letting the knocker in, unless another opening does.
struct Dismiss {
  OpenDoor door;
};

// Record that the opening is over.
struct Forget {
  OpenDoor door;
};

enum class CommandKind : uint8_t { kStart, kStop };

// An event of an opening, for clients that follow the daemon; needs no other action.
struct Happened {
  enum class What : uint8_t {
    kOpened,   // recorded; its start command is about to run
    kRenewed,  // it has a new deadline
    kClosed,   // all is undone
    kRefused   // it never opened; it has no id
  };
  What what = What::kOpened;
  OpenDoor door;
  enum class By : uint8_t { kTime, kHand, kFleet, kShutdown };
  std::string why;    // of kClosed and kRefused
  By by = By::kTime;  // of kClosed
};

// Run a command; then call Openings::ended() or could_not_run().
struct RunCommand {
  uint64_t opening = 0;
  CommandKind kind = CommandKind::kStart;
  std::string door;
  std::optional<IpAddress> source;  // of the knock; nothing for a command without a knock
  std::string interface;
  std::string command;  // rendered
  bool again = false;   // a retry; the first try was logged
  std::string user{};   // the owner of the code
};

using Action = std::variant<Say, UseSequence, Admit, Dismiss, Record, Forget, RunCommand, Happened>;

}  // namespace knockd
