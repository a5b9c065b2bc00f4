// SPDX-License-Identifier: MIT
#include "knockd/keeper/allowed_sources.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "knockd/keeper/own_table.h"

namespace knockd {
namespace {

// An element whose time differs by more than this was changed by others.
constexpr Duration kSlack = std::chrono::seconds(1);
// Elements of one batch.
constexpr size_t kMostAtOnce = 500;

std::string fault_text(const SetName& set, int error) {
  if (error == ENOENT) return "there is no set " + to_string(set);
  return to_string(set) + ": " + nft_reason(error);
}

Instant awake_now() { return Instant(std::chrono::steady_clock::now().time_since_epoch()); }

bool is_near(Duration one, Duration other) {
  return one <= other + kSlack && other <= one + kSlack;
}

}  // namespace

AllowedSources::AllowedSources(const EventLoop& loop, Log& log, std::string table)
    : loop_(loop), log_(log), table_(std::move(table)) {}

std::string AllowedSources::allow(NftSets& sets, const OpenDoor& door, bool is_being_repaired) {
  Place place = place_of(sets, door);
  if (!place.fault.empty()) return place.fault;
  const Instant awake_until = awake_now() + (door.deadline - loop_.now());
  std::erase_if(place.elements, [&](const SetElement& element) {
    return is_others(sets, element, admissions_.awake_until(element).value_or(awake_until));
  });
  const bool is_new = admissions_.of(door.id).empty();
  admissions_.hold(door.id, place.elements, door.deadline, awake_until);
  std::string fault = put(sets, place.elements);
  if (is_being_repaired) return {};
  if (!fault.empty() && is_new) admissions_.release(door.id);
  return fault;
}

// Set by set, so that a failure in one does not affect the others.
std::vector<std::string> AllowedSources::withdraw(NftSets& sets, std::span<const OpenDoor> doors) {
  std::vector<std::string> faults(doors.size());
  std::map<SetName, std::map<SetElement, Instant>> held;  // until when, by the awake clock
  std::vector<std::set<SetName>> sets_of(doors.size());
  for (size_t i = 0; i < doors.size(); ++i) {
    // An overdue opening of an earlier run holds nothing yet.
    std::vector<SetElement> elements = admissions_.of(doors[i].id);
    if (elements.empty()) elements = place_of(sets, doors[i]).elements;
    for (const SetElement& element : elements) {
      held[element.set][element] = admissions_.awake_until(element).value_or(awake_now());
      sets_of[i].insert(element.set);
    }
  }
  for (const OpenDoor& door : doors) admissions_.release(door.id);
  for (const auto& [set, elements] : held) {
    std::vector<SetElement> last;
    std::vector<SetElement> shared;
    for (const auto& [element, until] : elements) {
      if (admissions_.until(element)) {
        shared.push_back(element);
      } else if (can_have(sets, element) && !is_others(sets, element, until)) {
        last.push_back(element);
      }
    }
    std::string fault = remove(sets, last);
    if (std::string other = put(sets, shared); fault.empty()) fault = std::move(other);
    for (size_t i = 0; i < doors.size() && !fault.empty(); ++i) {
      if (sets_of[i].contains(set)) faults[i] = fault;
    }
  }
  return faults;
}

bool AllowedSources::is_own(const SetName& set) const {
  return set.family == TableFamily::kInet && set.table == table_;
}

Result<NftSets::Description, int> AllowedSources::describe(NftSets& sets, const SetName& set) {
  if (const auto known = descriptions_.find(set); known != descriptions_.end()) {
    return known->second;
  }
  auto description = sets.describe(set);
  if (description) descriptions_.emplace(set, *description);
  return description;
}

// Others may have recreated a set with another type: it then has no elements of knockd, and the key
// would have another meaning there.
bool AllowedSources::can_have(NftSets& sets, const SetElement& element) {
  if (is_own(element.set)) return true;
  const auto description = describe(sets, element.set);
  return description ? takes_key(*description, element.key) : description.error() != ENOENT;
}

AllowedSources::Place AllowedSources::place_of(NftSets& sets, const OpenDoor& door) {
  const Admission& admission = *door.admission;
  const IpAddress address = network_of(door.source, admission.prefix);
  Place place;
  const auto add_ports = [&](const SetName& set) {
    for (const Knock& port : admission.ports) {
      place.elements.push_back({set, set_key(address, port)});
    }
  };
  if (!admission.set) {
    add_ports({TableFamily::kInet, table_, own_set_name(address.is_v4(), admission.prefix)});
    return place;
  }
  const SetName& set = *admission.set;
  const auto description = describe(sets, set);
  if (!description) {
    place.fault = fault_text(set, description.error());
  } else if (!description->key || description->is_v4 != address.is_v4()) {
    place.fault = "set " + to_string(set) + " is not of type " +
                  (address.is_v4() ? "ipv4_addr" : "ipv6_addr") +
                  ", alone or with . inet_proto . inet_service";
  } else if (!description->has_timeout) {
    place.fault = "set " + to_string(set) + " has no 'flags timeout'";
  } else if (*description->key == SetKey::kAddress) {
    place.elements.push_back({set, set_key(address)});
  } else if (admission.ports.empty()) {
    place.fault = "set " + to_string(set) + " wants ports (Open)";
  } else {
    add_ports(set);
  }
  return place;
}

// Whether others added an element of the administrator's set, to stay at least until `awake_until`.
bool AllowedSources::is_others(NftSets& sets, const SetElement& element, Instant awake_until) {
  if (is_own(element.set)) return false;
  const auto found = sets.find(element);
  if (!found || !*found) return false;
  return !(*found)->left || *(*found)->left > awake_until - awake_now() + kSlack;
}

// Why an element could not be added or removed. Without any privilege, reading the set would have
// failed before.
std::string AllowedSources::change_fault(const SetName& set, int error) const {
  if (error != EPERM || is_own(set)) return fault_text(set, error);
  return to_string(set) + ": the table belongs to another program (flags owner)";
}

// Adds elements for as long as they are held.
std::string AllowedSources::put(NftSets& sets, const std::vector<SetElement>& elements) {
  std::vector<TimedElement> timed;
  for (const SetElement& element : elements) {
    const auto until = admissions_.until(element);
    if (!until || *until <= loop_.now() || !can_have(sets, element)) continue;
    timed.push_back({element, *until - loop_.now()});
  }
  for (size_t at = 0; at < timed.size(); at += kMostAtOnce) {
    const size_t size = std::min(kMostAtOnce, timed.size() - at);
    const int error = sets.put({timed.data() + at, size});
    if (error != 0) return change_fault(timed[at].element.set, error);
  }
  return {};
}

// Removes elements of one set.
std::string AllowedSources::remove(NftSets& sets, const std::vector<SetElement>& elements) {
  for (size_t at = 0; at < elements.size(); at += kMostAtOnce) {
    const size_t size = std::min(kMostAtOnce, elements.size() - at);
    const int error = sets.remove({elements.data() + at, size});
    // Without the set or the table no source is let in.
    if (error != 0 && error != ENOENT) return change_fault(elements.front().set, error);
  }
  return {};
}

bool AllowedSources::put_right(NftSets& sets) {
  const std::set<SetName> used = admissions_.sets();
  std::erase_if(said_, [&](const auto& one) { return !used.contains(one.first); });
  bool was_wrong = false;
  for (const SetName& set : used) {
    const Look look = is_own(set) ? put_right_own(sets, set) : put_right_others(sets, set);
    was_wrong |= look.was_wrong;
    std::string& said = said_[set];
    if (!look.fault.empty() && look.fault != said) log_.error("cannot let in again: " + look.fault);
    said = look.fault;
  }
  return was_wrong;
}

AllowedSources::Look AllowedSources::put_right_own(NftSets& sets, const SetName& set) {
  const auto found = sets.list(set);
  if (!found) return {};  // no such set: handled when its table comes back
  std::map<std::string_view, std::optional<Duration>> present;
  for (const NftSets::Found& one : *found) present[one.key] = one.left;
  std::vector<SetElement> wrong;
  admissions_.for_each_of(set, [&](const SetElement& element, Instant until) {
    const auto there = present.find(element.key);
    const bool is_right =
        there != present.end() && there->second && is_near(*there->second, until - loop_.now());
    if (!is_right && until > loop_.now()) wrong.push_back(element);
  });
  std::vector<SetElement> strange;
  for (const NftSets::Found& one : *found) {
    const SetElement element{set, one.key};
    if (!admissions_.until(element)) strange.push_back(element);
  }
  if (wrong.empty() && strange.empty()) return {};
  std::string fault = put(sets, wrong);
  const std::string not_removed = remove(sets, strange);
  if (!not_removed.empty()) log_.error(not_removed);
  return {true, std::move(fault)};
}

// Looks up only knockd's own elements, as the set may have many more.
AllowedSources::Look AllowedSources::put_right_others(NftSets& sets, const SetName& set) {
  const auto description = describe(sets, set);
  if (!description && description.error() == ENOENT) return {};  // it may come back, as above
  if (!description) return {true, fault_text(set, description.error())};
  Look look;
  std::vector<SetElement> absent;
  admissions_.for_each_of(set, [&](const SetElement& element, Instant until) {
    if (until <= loop_.now()) return;
    if (!takes_key(*description, element.key)) {
      look.fault = "set " + to_string(set) + " has another type now, or no 'flags timeout'";
      return;
    }
    const auto found = sets.find(element);
    if (!found) look = {true, fault_text(set, found.error())};
    if (found && !*found) absent.push_back(element);
  });
  if (absent.empty()) return look;
  std::string fault = put(sets, absent);
  return {true, fault.empty() ? look.fault : std::move(fault)};
}

}  // namespace knockd
