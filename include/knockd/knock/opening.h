// SPDX-License-Identifier: MIT
// An opening: a door opened for one source, from the knock until all is undone. This file has what
// the rest of the program uses; its life is in openings.h.
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

// What a knock does if the door is already open for its source: run the commands again, restart the
// opening's full time, or nothing.
enum class Reknock : uint8_t { kRun, kExtend, kIgnore };

// What a door does for a knocker of one address family, by the configuration at the time of the
// knock.
struct Terms {
  DoorNumber number = kNoDoor;          // in that configuration
  std::string door;                     // its name
  std::string start;                    // commands, %IP% still in place; empty: nothing is run
  std::string stop;                     // empty: nothing is run
  uint8_t prefix = 128;                 // bits of the network that replaces %IP%, as in Admission
  std::optional<Admission> admission;   // ports opened for the knocker without a command
  Duration open_for = kDefaultOpenFor;  // from the start command to the stop command
  Duration cooldown{};                  // after OPEN SESAME the door ignores all knocks
  Reknock reknock = Reknock::kRun;
  uint32_t max_open = kDefaultMaxOpen;  // simultaneous openings with something to undo
  bool one_time = false;                // a sequence, or a code, is used up by each knock

  bool has_something_to_undo() const { return !stop.empty() || admission; }
};

// All that is needed to undo an opening, even if the configuration has changed: what is written to
// disk.
struct OpenDoor {
  uint64_t id = 0;                     // of this opening; increases, never reused
  std::string door;                    // its name in the configuration at that time
  IpAddress source;                    // that it is open for
  std::string interface;               // of the knock; may be empty
  std::string stop_command;            // for the shell, %IP% replaced; empty: none
  std::optional<Admission> admission;  // to be undone as well
  Instant deadline;                    // when it is to be undone
  std::string user{};                  // the owner of the code; empty: knocked without one
  std::string gateway{};               // of the fleet, that set the deadline; empty: opened here
  uint8_t prefix = 128;                // of the network for commands; ports use the admission's

  uint8_t prefix_let_in() const { return admission ? admission->prefix : prefix; }

  friend bool operator==(const OpenDoor&, const OpenDoor&) = default;
};

// Openings selected by a person: of a door, for an address, both, or all.
struct Selection {
  std::optional<std::string> door;
  std::optional<IpAddress> address;  // in the admitted network
};

}  // namespace knockd
