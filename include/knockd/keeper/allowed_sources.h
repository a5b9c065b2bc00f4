// SPDX-License-Identifier: MIT
// The admitted sources, as elements of sets in the kernel: of knockd's own table, and of the
// administrator's ruleset (Open_Set). Never changes others' elements of the latter.
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

  // Lets a source in until its deadline; a second call for the same opening renews the time.
  // `is_being_repaired`: its table is being recreated and put_right() follows, so a refusal by the
  // kernel is no fault.
  std::string allow(NftSets& sets, const OpenDoor& door, bool is_being_repaired);
  // Ends these openings. Returns a fault, or empty, for each.
  std::vector<std::string> withdraw(NftSets& sets, std::span<const OpenDoor> doors);

  // Adds missing elements, and removes elements without an opening from own sets. True if there
  // were any.
  bool put_right(NftSets& sets);
  // To be called when others have changed the ruleset.
  void forget_descriptions() { descriptions_.clear(); }
  // The sets with admitted sources.
  std::set<SetName> used_sets() const { return admissions_.sets(); }

 private:
  struct Place {  // the elements of an opening
    std::vector<SetElement> elements;
    std::string fault;  // or why it cannot be
  };

  struct Look {  // the result of a look at a set
    bool was_wrong = false;
    std::string fault;  // why a source is not in
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
  std::map<SetName, NftSets::Description> descriptions_;  // known ones of others' sets
  std::map<SetName, std::string> said_;  // the fault of the last look, which was logged
};

}  // namespace knockd
