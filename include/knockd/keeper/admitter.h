// SPDX-License-Identifier: MIT
// Opens ports for knockers without a command. An interface, so that tests can replace it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "knockd/knock/opening.h"

namespace knockd {

class Admitter {
 public:
  virtual ~Admitter() = default;
  // Lets the source of this opening in until its deadline, or renews the time. Empty, or why it
  // failed.
  virtual std::string admit(const OpenDoor& door) = 0;
  // Ends these openings. A source that another opening also lets in stays in for that opening's
  // time. For each, empty, or why it failed.
  virtual std::vector<std::string> dismiss(std::span<const OpenDoor> doors) = 0;
};

}  // namespace knockd
