// SPDX-License-Identifier: MIT
// The codes of doors with secrets: which are in force at a time, and whether one that was knocked
// may open. Pure: the time is an argument, what was used is kept in memory. For the keeper and for
// replay.
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

// Listeners know the codes of the step before, of this one and of two to come, so that a keeper
// that is late makes nobody wait; of those the step before, this one and the next may open.
class CodeLedger {
 public:
  // Doors and users are read at any time.
  explicit CodeLedger(const std::vector<Door>& doors) : doors_(doors) {}

  // Takes the doors as they are now. If users are others than before, after forget_users().
  void renew();
  // What was knocked by now means nothing from here on.
  void forget_users();
  // Without secrets there is nothing to do.
  bool is_empty() const { return numbers_.empty(); }
  // Which users those in the tags are; another one after forget_users().
  uint32_t generation() const { return generation_; }

  // The codes of all doors with secrets.
  std::vector<DoorCodes> codes(Step now) const;
  // Puts them into the rules that listeners begin with; by door.
  void add_to(std::vector<DoorRule>& rules, Step now) const;

  struct Judgement {
    std::string user;     // whose code it is
    std::string text;     // "code of alice for the step before, accepted"
    std::string refused;  // why it may not open; empty: it may
    // A browser knocks by the ports of both address families over each: nothing to be told.
    bool is_of_other_family = false;
  };
  // Of a complete knock at a door with secrets, by the present generation. `time`: Unix time in
  // seconds; `begun`: that of the first knock. `guesses`: its source knocks wrong codes.
  Judgement judge(DoorNumber door, const IpAddress& source, CodeTag code, int64_t time,
                  int64_t begun, bool guesses = false) const;
  // A typed code was wrong. Whether it was the last that the door takes.
  bool wrong(DoorNumber door, int64_t time);
  // Who listens where there is IPv4 alone hears codes that are good over IPv6: typed ones, and
  // those for IPv6, by which a page knocks at a name as well. What of a complete knock from this
  // source is used up over IPv6, if it was not before. Nothing is over IPv4 of what was knocked
  // over IPv6: browsers knock over that first, a moment before they do it over IPv4.
  std::optional<CodeKnock> overheard(DoorNumber door, const IpAddress& source, CodeTag code,
                                     int64_t time) const;
  // What is used up with a code that was judged to be good.
  CodeKnock knock_of(DoorNumber door, const IpAddress& source, CodeTag code, int64_t time) const;
  void use(DoorNumber door, const CodeKnock& knock, int64_t time);
  // Whether a door here has the secret of this id.
  bool has_secret(const std::string& id) const;
  // Whether one of this step may have been used anywhere by now.
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
  // Of each door, by step: computed once.
  mutable std::map<DoorNumber, std::map<Step, std::vector<Code>>> computed_;
  mutable std::set<std::string> ids_;  // of all secrets, once somebody has asked
};

}  // namespace knockd
