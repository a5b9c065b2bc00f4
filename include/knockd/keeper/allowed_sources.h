// SPDX-License-Identifier: MIT
// Who is let in, as elements of sets in the kernel: of knockd's own table, and of the
// administrator's ruleset (Open_Set). What others put into the latter stays.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/base/result.h"
#include "knockd/keeper/admissions.h"
#include "knockd/keeper/nft_sets.h"
#include "knockd/knock/opening.h"

namespace knockd {

// Faults are one line, empty for success.
class AllowedSources {
 public:
  // `table` is the name of knockd's own.
  AllowedSources(const EventLoop& loop, Log& log, std::string table);

  // Lets a source in until its deadline; again for the same opening renews the time.
  // `is_being_repaired`: its table is made anew just now, and put_right() follows, so it is no
  // fault that the kernel refuses it.
  std::string allow(NftSets& sets, const OpenDoor& door, bool is_being_repaired);
  // Ends these openings. For each, empty, or a fault.
  std::vector<std::string> withdraw(NftSets& sets, std::span<const OpenDoor> doors);

  // Puts in what is missing, and takes out of own sets what nobody holds. True if there was any.
  bool put_right(NftSets& sets);
  // To be called when others have changed the ruleset.
  void forget_descriptions() { descriptions_.clear(); }
  // The sets in which anybody is.
  std::set<SetName> used_sets() const { return admissions_.sets(); }

 private:
  struct Place {  // where an opening is let in
    std::vector<SetElement> elements;
    std::string fault;  // or why it cannot be
  };

  struct Look {  // at a set
    bool was_wrong = false;
    std::string fault;  // why somebody is not in who is to be
  };

  bool can_have(NftSets& sets, const SetElement& element);
  std::string change_fault(const SetName& set, int error) const;
  Place place_of(NftSets& sets, const OpenDoor& door);
  Result<NftSets::Description, int> describe(NftSets& sets, const SetName& set);
  bool is_own(const SetName& set) const;
  bool is_others(NftSets& sets, const SetElement& element, Instant awake_until);
  std::string put(NftSets& sets, const std::vector<SetElement>& elements);
  std::string remove(NftSets& sets, const std::vector<SetElement>& elements);
  Look put_right_own(NftSets& sets, const SetName& set);
  Look put_right_others(NftSets& sets, const SetName& set);

  const EventLoop& loop_;
  Log& log_;
  const std::string table_;
  Admissions admissions_;
  std::map<SetName, NftSets::Description> descriptions_;  // of others' sets, as far as known
  std::map<SetName, std::string> said_;  // the fault of the last look, which was logged
};

}  // namespace knockd
