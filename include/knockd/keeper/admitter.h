// SPDX-License-Identifier: MIT
// Lets knockers in to ports, without a command. An interface, which tests of its user replace.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "knockd/knock/opening.h"

namespace knockd {

class Admitter {
 public:
  virtual ~Admitter() = default;
  // Lets the source of this opening in until its deadline; if it is in already, renews the time.
  // Empty, or the reason why it failed.
  virtual std::string admit(const OpenDoor& door) = 0;
  // Ends these openings. A source that is let in by another opening as well stays in for that one's
  // time. For each, empty, or the reason why it failed.
  virtual std::vector<std::string> dismiss(std::span<const OpenDoor> doors) = 0;
};

}  // namespace knockd
