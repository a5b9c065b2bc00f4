// SPDX-License-Identifier: MIT
// What `Openings` wants done. The keeper carries actions out in their order; replay prints them.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "knockd/base/log.h"
#include "knockd/knock/opening.h"

namespace knockd {

// Log a line: "SOURCE: TEXT", or TEXT alone without a source.
struct Say {
  LogLevel level = LogLevel::kNotice;
  std::optional<IpAddress> source;
  std::string text;
  bool may_be_left_out = false;  // for Log_Rate: strangers can cause it
};

// Mark the door's one-time sequence, or the code, as used, on disk; then call
// Openings::sequence_used().
struct UseSequence {
  uint64_t opening = 0;
  DoorNumber door = kNoDoor;
  DoorNumber rule = kNoDoor;  // of the tracker: which of the door's sequences was knocked
  IpAddress source{};
  CodeTag code{};  // at a door with codes: which
};

// Write down that this door is open until its deadline; `is_new` if it is not written down yet.
// When all that was to be written is on disk, call Openings::recorded().
struct Record {
  OpenDoor door;
  bool is_new = true;
};

// Let the knocker in until the deadline, whether that is new or not; then call
// Openings::admitted(). `is_new` if it is to be logged.
struct Admit {
  OpenDoor door;
  bool is_new = true;
};

// Let the knocker in no longer, unless another opening does.
struct Dismiss {
  OpenDoor door;
};

// Write down that the opening is over.
struct Forget {
  OpenDoor door;
};

enum class CommandKind : uint8_t { kStart, kStop };

// Something that who follows the daemon wants to know of an opening; there is nothing to be done.
struct Happened {
  enum class What : uint8_t {
    kOpened,   // it is recorded, and its start command is about to run
    kRenewed,  // it has another deadline
    kClosed,   // all is undone
    kRefused   // it never came to be; it has no id
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
  std::optional<IpAddress> source;  // of the knock; nothing for a command of nobody's knock
  std::string interface;
  std::string command;  // rendered
  bool again = false;   // it could not be run before; that it runs was logged then
  std::string user{};   // whose code it was
};

using Action = std::variant<Say, UseSequence, Admit, Dismiss, Record, Forget, RunCommand, Happened>;

}  // namespace knockd
