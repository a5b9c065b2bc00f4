// SPDX-License-Identifier: MIT
// The codes of doors with secrets: those in force at a time, and whether a knocked one may open.
// Pure: the time is an argument, used codes are kept in memory. For the keeper and for replay.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "knockd/code/used_codes.h"
#include "knockd/config/config.h"
#include "knockd/knock/door.h"

namespace knockd {

// Listeners have the codes of the previous, the present and the next two steps, so that a late
// keeper delays no knock. The previous, the present and the next one may open.
class CodeLedger {
 public:
  // Doors and users may be read at any time.
  explicit CodeLedger(const std::vector<Door>& doors) : doors_(doors) {}

  // Reads the doors again. If users have changed, call forget_users() before.
  void renew();
  // Invalidates the knocks so far.
  void forget_users();
  // Whether no door has secrets.
  bool is_empty() const { return numbers_.empty(); }
  // Identifies the users that tags refer to; changes with forget_users().
  uint32_t generation() const { return generation_; }

  // The codes of all doors with secrets.
  std::vector<DoorCodes> codes(Step now) const;
  // Adds them to the rules of new listeners; by door.
  void add_to(std::vector<DoorRule>& rules, Step now) const;

  struct Judgement {
    std::string user;     // the owner of the code
    std::string text;     // "code of alice for the step before, accepted"
    std::string refused;  // why it may not open; empty: it may
    // Not reported: a browser knocks at the ports of both address families over each.
    bool is_of_other_family = false;
  };
  // Judges a complete knock of the present generation at a door with secrets. `time`: Unix time in
  // seconds; `begun`: that of the first knock. `guesses`: its source knocks wrong codes.
  Judgement judge(DoorNumber door, const IpAddress& source, CodeTag code, int64_t time,
                  int64_t begun, bool guesses = false) const;
  // A typed code was wrong. Returns whether it was the last that the door accepts.
  bool wrong(DoorNumber door, int64_t time);
  // An eavesdropper on IPv4 learns codes that are valid over IPv6: typed ones, and those for IPv6,
  // which the knock page also sends to a name. Returns what a complete knock from this source uses
  // up over IPv6, if not yet used. A knock over IPv6 uses up nothing over IPv4, because browsers
  // knock over IPv6 a moment before IPv4.
  std::optional<CodeKnock> overheard(DoorNumber door, const IpAddress& source, CodeTag code,
                                     int64_t time) const;
  // What an accepted code uses up.
  CodeKnock knock_of(DoorNumber door, const IpAddress& source, CodeTag code, int64_t time) const;
  void use(DoorNumber door, const CodeKnock& knock, int64_t time);
  // Whether a door here has the secret of this id.
  bool has_secret(const std::string& id) const;
  // Whether a code of this step may already have been used anywhere.
  static bool may_be_used(Step step, int64_t time);

  UsedCodes& used() { return used_; }
  KnownSources& known() { return known_; }

 private:
  const std::vector<Door>& doors_;
  std::vector<DoorNumber> numbers_;  // of those with secrets
  uint32_t generation_ = 0;
  UsedCodes used_;
  WrongCodes wrong_;
  KnownSources known_;
  // By door and step; computed once.
  mutable std::map<DoorNumber, std::map<Step, std::vector<Code>>> computed_;
  mutable std::set<std::string> ids_;  // of all secrets, once requested
};

}  // namespace knockd
