// SPDX-License-Identifier: MIT
#include "knockd/fleet/shared_place.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace knockd {
namespace {

// The tolerance for ends of one opening, reported before and after a restart.
constexpr Duration kSameOpening = std::chrono::seconds(1);

}  // namespace

bool is_same_end(WallTime one, WallTime other) {
  return one - other < kSameOpening && other - one < kSameOpening;
}

bool SharedPlace::is_closed(const std::string& gateway, uint64_t id) const {
  const auto found = marks.find(gateway);
  return found != marks.end() && id <= found->second.id;
}

bool SharedPlace::is_shut(const Here& opening) const {
  return !closer.empty() && opening.until < shut + kSameOpening;
}

std::optional<uint64_t> SharedPlace::longest_here(WallTime now) const {
  std::optional<uint64_t> longest;
  WallTime until = now;
  for (const auto& [id, opening] : here) {
    if (opening.by_fleet || opening.until <= until) continue;
    longest = id;
    until = opening.until;
  }
  return longest;
}

// Our own is not limited: the daemon has granted it.
SharedPlace::Hold SharedPlace::longest_hold(Duration open_for, const std::string& self) const {
  Hold longest;
  if (own) longest = {own->end, self, own->message.user};
  for (const auto& [gateway, message] : held) {
    const Instant end = std::min(message.end, message.since + open_for);
    if (end > longest.end) longest = {end, gateway, message.user};
  }
  // Of unpublished ones; they are open.
  for (const auto& [id, opening] : here) {
    const bool holds = !opening.by_fleet && !is_shut(opening) && opening.own_end > longest.end;
    if (holds) longest = {opening.own_end, self, opening.user};
  }
  return longest;
}

Instant SharedPlace::open_until() const {
  Instant until = asked;
  for (const auto& [id, opening] : here) until = std::max(until, opening.end);
  return until;
}

std::optional<Instant> SharedPlace::next_end() const {
  std::optional<Instant> next;
  const auto consider = [&](Instant end) { next = std::min(next.value_or(end), end); };
  for (const auto& [gateway, message] : held) consider(message.end);
  for (const auto& [gateway, mark] : marks) consider(mark.end);
  if (own) consider(own->end);
  if (asked != Instant()) consider(asked);
  if (!closing.empty()) consider(closing_end);
  return next;
}

SharedPlace::End SharedPlace::last_end(End least) const {
  End last = least;
  const auto consider = [&](WallTime until, Instant end) {
    last = {std::max(last.until, until), std::max(last.boot, end)};
  };
  for (const auto& [gateway, message] : held) consider(message.until, message.end);
  if (own) consider(own->message.until, own->end);
  return last;
}

void SharedPlace::mark(const std::string& gateway, const Mark& mark, SenderQuota& quota) {
  const auto [found, is_new] = marks.try_emplace(gateway, mark);
  if (is_new) return quota.count(mark.closer);
  found->second.id = std::max(found->second.id, mark.id);
  found->second.end = std::max(found->second.end, mark.end);
}

void SharedPlace::mark_held(const std::string& by, Instant end, SenderQuota& quota) {
  for (const auto& [gateway, message] : std::exchange(held, {})) {
    quota.forget(gateway);
    mark(gateway, {message.id, end, by}, quota);
  }
}

void SharedPlace::release(const std::string& gateway, uint64_t id, SenderQuota& quota) {
  const auto found = held.find(gateway);
  if (found == held.end() || found->second.id > id) return;
  held.erase(found);
  quota.forget(gateway);
}

void SharedPlace::forget_over(Instant now, SenderQuota& quota) {
  std::erase_if(held, [&](const auto& entry) {
    if (entry.second.end > now) return false;
    quota.forget(entry.first);
    return true;
  });
  std::erase_if(marks, [&](const auto& entry) {
    if (entry.second.end > now) return false;
    quota.forget(entry.second.closer);
    return true;
  });
  if (own && own->end <= now) own.reset();
  if (marks.empty()) closed_until.reset();
  if (asked <= now) asked = {};
  if (closing_end <= now) closing.clear();
}

}  // namespace knockd
