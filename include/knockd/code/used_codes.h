// SPDX-License-Identifier: MIT
// Decides whether a complete code may open a door: by the codes used, the number of wrong typed
// codes, and the known sources. Pure; the time is an argument.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "knockd/code/code_ports.h"
#include "knockd/net/address.h"

namespace knockd {

// The step whose low 15 bits (11 days) the tag has, the one nearest to `now`.
Step step_of(CodeTag tag, Step now);
// The tag of a code; it includes whether the code is for IPv4.
CodeTag code_tag(uint16_t user, Step step, bool is_v4);
bool is_for_v4(CodeTag tag);

struct CodeKnock {
  std::string secret;  // its id
  Step step = 0;
  IpAddress source;
};

// The last used code of each secret and address family, and its source. Other sources may use
// neither it nor an older one; the same source may use it again, because packets get lost.
class UsedCodes {
 public:
  bool allow(const CodeKnock& knock) const;
  // The step of the last used code; before all others if there is none.
  Step last_step(const CodeKnock& knock) const;
  // Whether it is the last used code, from the same source.
  bool contain(const CodeKnock& knock) const;
  // Ignores a code older than the recorded one.
  void add(const CodeKnock& knock);

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [key, last] : last_) visit(CodeKnock{key.first, last.first, last.second});
  }

 private:
  using Key = std::pair<std::string, bool>;  // and whether over IPv4
  std::map<Key, std::pair<Step, IpAddress>> last_;
};

// Wrong typed codes of each door in the present step: after kMostWrongCodes the door accepts none.
// Later it also refuses codes whose knock began by that step: else thousands of sources could knock
// all but their last port in one step, and the remaining ones continue in the next.
class WrongCodes {
 public:
  // Returns whether it was the last that the door accepts.
  bool add(const std::string& door, Step now);
  // For a knock that began in this step.
  bool are_too_many(const std::string& door, Step begun, Step now) const;

 private:
  struct Wrong {
    Step step = 0;
    unsigned count = 0;
    Step too_many = -1;  // the last step with too many
  };
  std::map<std::string, Wrong> wrong_;
};

// Sources that opened a door within the last days, the last kMost of each door.
class KnownSources {
 public:
  static constexpr size_t kMost = 4096;
  static constexpr int64_t kDays = 30;

  // Times are Unix time in seconds.
  bool knows(const std::string& door, const IpAddress& source, int64_t now) const;
  void add(const std::string& door, const IpAddress& source, int64_t now);

  // `visit` gets the door, the source and the time; the oldest of a door first.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [door, known] : doors_) {
      for (const auto& [time, source] : known.by_time) visit(door, source, time);
    }
  }

 private:
  struct Known {
    std::map<IpAddress, int64_t> times;
    std::set<std::pair<int64_t, IpAddress>> by_time;
  };
  std::map<std::string, Known> doors_;
};

}  // namespace knockd
