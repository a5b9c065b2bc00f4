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
  // The source of this opening is let in until its deadline, from now on; again for one that is in
  // already renews the time. Empty, or the reason why it is not let in.
  virtual std::string admit(const OpenDoor& door) = 0;
  // These openings let nobody in any longer; whom others let in as well stays in as long as they
  // say. For each, empty, or the reason why that could not be done.
  virtual std::vector<std::string> dismiss(std::span<const OpenDoor> doors) = 0;
};

}  // namespace knockd
