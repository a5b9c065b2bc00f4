// SPDX-License-Identifier: MIT
// What decides whether a code may open a door once it was knocked whole: which were used, how many
// typed ones were wrong, and who is known. Pure; the time is an argument.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "knockd/code/code_ports.h"
#include "knockd/net/address.h"

namespace knockd {

// The step that a tag names by its low 15 bits (11 days), the one next to `now`.
Step step_of(CodeTag tag, Step now);
// The tag of a code, and whether it is one for IPv4.
CodeTag code_tag(uint16_t user, Step step, bool is_v4);
bool is_for_v4(CodeTag tag);

struct CodeKnock {
  std::string secret;  // its id
  Step step = 0;
  IpAddress source;
};

// The last code of each secret and address family that was used, and from where. Neither it nor an
// older one may be used from elsewhere; packets get lost, so that it may be used from there again.
class UsedCodes {
 public:
  bool allow(const CodeKnock& knock) const;
  // Of which step the last one is that was used; before all others if none was.
  Step last_step(const CodeKnock& knock) const;
  // Whether it is the last that was used, from the same source.
  bool contain(const CodeKnock& knock) const;
  // One that is older than what is known changes nothing.
  void add(const CodeKnock& knock);

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [key, last] : last_) visit(CodeKnock{key.first, last.first, last.second});
  }

 private:
  using Key = std::pair<std::string, bool>;  // and whether over IPv4
  std::map<Key, std::pair<Step, IpAddress>> last_;
};

// Wrong typed codes of each door in the present step: after kMostWrongCodes it takes none. Nor does
// it later take one whose knock began before: else thousands of sources could have all but their
// last port tried in one step, and the few that are left go on in the next.
class WrongCodes {
 public:
  // Whether it was the last that the door takes.
  bool add(const std::string& door, Step now);
  // For a knock that began in this step.
  bool are_too_many(const std::string& door, Step begun, Step now) const;

 private:
  struct Wrong {
    Step step = 0;
    unsigned count = 0;
    Step too_many = -1;  // the last step in which they were
  };
  std::map<std::string, Wrong> wrong_;
};

// Who opened a door within the last days, the last kMost of each.
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
