// SPDX-License-Identifier: MIT
// A door that stands open for one knocker: all that is needed to close it again, whatever the
// configuration says by then.
#pragma once

#include <cstdint>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/net/address.h"

namespace knockd {

struct OpenDoor {
  uint64_t id = 0;           // of this opening; grows, and is never used twice
  std::string door;          // its name in the configuration of that day
  IpAddress source;          // for whom it is open
  std::string interface;     // where the knock came in; may be empty
  std::string stop_command;  // as the shell will get it, %IP% filled in
  Instant deadline;          // when the stop command is due

  friend bool operator==(const OpenDoor&, const OpenDoor&) = default;
};

}  // namespace knockd
