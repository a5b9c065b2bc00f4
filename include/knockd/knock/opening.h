// SPDX-License-Identifier: MIT
// An opening: a door that was opened for one source, from the knock until all is undone. Here is
// what the rest of the program knows of one; its life is told in openings.h.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/knock/admission.h"
#include "knockd/knock/defaults.h"
#include "knockd/knock/event.h"
#include "knockd/net/address.h"

namespace knockd {

// What a knock does whose source has this door open already: run the commands once more, give the
// opening its full time anew, or nothing.
enum class Reknock : uint8_t { kRun, kExtend, kIgnore };

// What a door does for a knocker of one address family, as its configuration said on that day.
struct Terms {
  DoorNumber number = kNoDoor;          // in that configuration
  std::string door;                     // its name
  std::string start;                    // commands, %IP% still in place; empty: nothing is run
  std::string stop;                     // empty: nothing is run
  uint8_t prefix = 128;                 // bits of the network that %IP% stands for, as in Admission
  std::optional<Admission> admission;   // ports that it lets the knocker in to, without a command
  Duration open_for = kDefaultOpenFor;  // from the start command to the stop command
  Duration cooldown{};                  // after OPEN SESAME the door ignores knocks, whoever knocks
  Reknock reknock = Reknock::kRun;
  uint32_t max_open = kDefaultMaxOpen;  // openings with something to undo, at a time
  bool one_time = false;                // a sequence, or a code, is used up by each knock

  bool has_something_to_undo() const { return !stop.empty() || admission; }
};

// All that is needed to undo an opening, whatever the configuration says by then: what is written
// to disk.
struct OpenDoor {
  uint64_t id = 0;                     // of this opening; grows, and is never used twice
  std::string door;                    // its name in the configuration of that day
  IpAddress source;                    // for whom it is open
  std::string interface;               // where the knock came in; may be empty
  std::string stop_command;            // as the shell will get it, %IP% filled in; empty: none
  std::optional<Admission> admission;  // to be taken back as well
  Instant deadline;                    // when all of that is due
  std::string user{};                  // whose code it was; empty: knocked without one
  std::string gateway{};  // of the fleet, by whose word it is open until then; empty: opened here
  uint8_t prefix = 128;   // of the network that commands let in; that of ports is the admission's

  uint8_t prefix_let_in() const { return admission ? admission->prefix : prefix; }

  friend bool operator==(const OpenDoor&, const OpenDoor&) = default;
};

// Some of the openings, as a person names them: of a door, for an address, both, or all.
struct Selection {
  std::optional<std::string> door;
  std::optional<IpAddress> address;  // lies in the network that is let in
};

}  // namespace knockd
