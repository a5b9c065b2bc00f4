// SPDX-License-Identifier: MIT
#include "knockd/keeper/code_ledger.h"

#include <algorithm>
#include <utility>

#include "knockd/config/door_codes.h"

namespace knockd {
namespace {

constexpr Step kStepsBehind = 1;
constexpr Step kStepsAhead = 2;
constexpr Step kStepsThatOpen = 1;  // before and after this one

// For steps that open; the others have no name.
const char* name_of_step(Step difference) {
  if (difference == -1) return " for the step before";
  return difference == 1 ? " for the next step" : "";
}

}  // namespace

void CodeLedger::renew() {
  numbers_.clear();
  ids_.clear();
  for (size_t door = 0; door < doors_.size(); ++door) {
    if (!doors_[door].users.empty()) numbers_.push_back(static_cast<DoorNumber>(door));
  }
}

void CodeLedger::forget_users() {
  computed_.clear();
  ++generation_;
}

std::vector<DoorCodes> CodeLedger::codes(Step now) const {
  std::vector<DoorCodes> all;
  for (const DoorNumber number : numbers_) {
    auto& computed = computed_[number];
    std::erase_if(computed, [&](const auto& one) {
      return one.first < now - kStepsBehind || one.first > now + kStepsAhead;
    });
    DoorCodes door{number, generation_, {}};
    for (Step step = now - kStepsBehind; step <= now + kStepsAhead; ++step) {
      auto& codes = computed[step];
      if (codes.empty()) codes = codes_of(doors_[number], step);
      door.codes.insert(door.codes.end(), codes.begin(), codes.end());
    }
    std::ranges::sort(door.codes);
    all.push_back(std::move(door));
  }
  return all;
}

void CodeLedger::add_to(std::vector<DoorRule>& rules, Step now) const {
  for (DoorCodes& door : codes(now)) rules[door.door].codes = std::move(door.codes);
}

CodeLedger::Judgement CodeLedger::judge(DoorNumber number, const IpAddress& source, CodeTag code,
                                        int64_t time, int64_t begun, bool guesses) const {
  const Door& door = doors_[number];
  Judgement judgement;
  if (code.user >= door.users.size()) {
    judgement.refused = "it is nobody's";
    judgement.text = "code refused: " + judgement.refused;
    return judgement;
  }
  judgement.user = door.users[code.user].name;
  const Step now = step_at(time);
  const CodeKnock knock = knock_of(number, source, code, time);
  const bool typed = door.rule.places.typed;
  if (knock.step < now - kStepsThatOpen || knock.step > now + kStepsThatOpen) {
    judgement.refused = "it is of another time";
  } else if (!typed && is_for_v4(code) != source.is_v4()) {
    judgement.refused = "it is for the other address family";
    judgement.is_of_other_family = true;
  } else if (typed && wrong_.are_too_many(door.name, step_at(begun), now) &&
             (guesses || !known_.knows(door.name, source, time))) {
    judgement.refused = "too many wrong codes in this step";
  } else if (!used_.allow(knock)) {
    judgement.refused = used_.last_step(knock) > now + kStepsThatOpen
                            ? "one of a later time was used, when the clock was ahead"
                            : "it, or a later one, was used before";
  }
  judgement.text = "code of " + judgement.user + name_of_step(knock.step - now) +
                   (judgement.refused.empty() ? ", accepted" : ", refused: " + judgement.refused);
  return judgement;
}

bool CodeLedger::wrong(DoorNumber number, int64_t time) {
  return wrong_.add(doors_[number].name, step_at(time));
}

std::optional<CodeKnock> CodeLedger::overheard(DoorNumber number, const IpAddress& source,
                                               CodeTag code, int64_t time) const {
  const bool is_good_over_ipv6 = doors_[number].rule.places.typed || !is_for_v4(code);
  if (!source.is_v4() || !is_good_over_ipv6) return {};
  const IpAddress nobody;
  CodeKnock knock = knock_of(number, nobody, code, time);
  if (!used_.allow(knock) || used_.contain(knock)) return {};
  return knock;
}

CodeKnock CodeLedger::knock_of(DoorNumber number, const IpAddress& source, CodeTag code,
                               int64_t time) const {
  return {doors_[number].users[code.user].secret.id(), step_of(code, step_at(time)), source};
}

void CodeLedger::use(DoorNumber number, const CodeKnock& knock, int64_t time) {
  used_.add(knock);
  const Door& door = doors_[number];
  if (door.rule.places.typed) known_.add(door.name, knock.source, time);
}

bool CodeLedger::has_secret(const std::string& id) const {
  if (ids_.empty()) {
    for (const DoorNumber number : numbers_) {
      for (const User& user : doors_[number].users) ids_.insert(user.secret.id());
    }
  }
  return ids_.contains(id);
}

bool CodeLedger::may_be_used(Step step, int64_t time) {
  return step <= step_at(time) + kStepsAhead;
}

}  // namespace knockd
