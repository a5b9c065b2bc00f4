// SPDX-License-Identifier: MIT
#include "knockd/knock/source_table.h"

#include <algorithm>
#include <utility>

#include "knockd/knock/sequence.h"

namespace knockd {
namespace {

// Zeroed memory, or null. Fresh memory of calloc() costs nothing until it is used.
template <class T>
T* zeroed(size_t count, size_t each = 1) {
  return static_cast<T*>(std::calloc(count, std::max<size_t>(each, 1) * sizeof(T)));
}

// Memory aligned for T and not zeroed, or null.
template <class T>
T* aligned(size_t count) {
  if (count > SIZE_MAX / sizeof(T)) return nullptr;
  return static_cast<T*>(std::aligned_alloc(alignof(T), count * sizeof(T)));
}

}  // namespace

SourceTable::SourceTable(const Limits& limits, const HashKey& hash_key)
    : limits_(limits),
      hash_key_(hash_key),
      entries_(aligned<Entry>(size_t{limits.entries} + 1)),
      older_segments_(aligned<OlderSegments>(size_t{limits.entries} + 1)),
      scan_ports_(zeroed<uint16_t>(size_t{limits.entries} + 1, limits.scan_ports)),
      codes_(limits.codes ? zeroed<uint16_t>(size_t{limits.entries} + 1) : nullptr),
      buckets_(zeroed<Number>(limits.sources, 2)),
      stages_(kMaxKnocks + 1) {
  if (entries_) entries_[0] = {};
}

SourceTable::Lifetime SourceTable::add_lifetime(Duration duration) {
  const auto known = std::find_if(ages_.begin(), ages_.end(),
                                  [&](const Age& age) { return age.lifetime == duration; });
  const auto number = static_cast<Lifetime>(known - ages_.begin());
  if (known == ages_.end()) ages_.push_back({duration, {}});
  return number;
}

SourceTable::Place SourceTable::place_of(const IpAddress& source) const {
  // The upper half of the product of hash and number of buckets: like a modulo, but faster.
  const uint64_t hash = keyed_hash(hash_key_, source.bytes()) >> 32;
  return {source, static_cast<uint32_t>(hash * limits_.sources * 2 >> 32)};
}

SourceTable::Number SourceTable::begin(const Place& place, DoorNumber door, Lifetime lifetime,
                                       Instant now) {
  Number number = first_of(place);
  while (number != 0 && entries_[number].door != door) number = next_of(number);
  if (number != 0) {
    leave_bucket(number);
    leave_lists(number);
  } else {
    number = unused_entry(place);
    entries_[number] = {};
    entries_[number].place = place;
    entries_[number].door = door;
  }
  entries_[number].scan_ports = 0;
  enter_bucket(number);
  enter_lists(number, lifetime, now);
  return number;
}

void SourceTable::advance(Number number) {
  Entry& entry = entries_[number];
  unlink(stages_[entry.stage], number, &Entry::by_stage);
  append(stages_[++entry.stage], number, &Entry::by_stage);
}

void SourceTable::end(Number number, Lifetime lifetime, Instant now) {
  leave_lists(number);
  enter_lists(number, lifetime, now);
}

void SourceTable::remove(Number number) {
  leave_bucket(number);
  leave_lists(number);
  entries_[number].stage = 0;
  entries_[number].next = free_;
  free_ = number;
}

void SourceTable::remove_attempts_at(DoorNumber door, const std::function<bool(Number)>& stays) {
  for (Number number = 1; number <= last_used_; ++number) {
    const Entry& entry = entries_[number];
    if (entry.stage > 0 && entry.door == door && !stays(number)) remove(number);
  }
}

void SourceTable::expire(Instant now, const std::function<void(const Entry&)>& report) {
  next_expiry_.reset();
  for (const Age& age : ages_) {
    while (const Number oldest = age.entries.oldest) {
      const Instant due = entries_[oldest].since + age.lifetime;
      if (now < due) {
        expire_at(due);
        break;
      }
      report(entries_[oldest]);
      remove(oldest);
    }
  }
}

void SourceTable::expire_at(Instant due) {
  if (!next_expiry_ || due < *next_expiry_) next_expiry_ = due;
}

// --- Segments and scan ports -------------------------------------------------------------------

void SourceTable::add_segment(Number number, uint32_t segment) {
  Entry& entry = entries_[number];
  if (entry.segments > 0) {
    auto& older = older_segments_[number].segments;
    const auto end = older.begin() + std::min<size_t>(entry.segments, older.size());
    std::move_backward(older.begin(), end - 1, end);
    older.front() = entry.segment;
  }
  if (entry.segments < kSegments) ++entry.segments;
  entry.segment = segment;
}

bool SourceTable::knows_segment(Number number, uint32_t segment) const {
  const Entry& entry = entries_[number];
  if (entry.segments == 0) return false;
  const auto older = older_segments_[number].segments.begin();
  const auto end = older + entry.segments - 1;
  return entry.segment == segment || std::find(older, end, segment) != end;
}

bool SourceTable::add_scan_port(Number number, uint16_t port) {
  Entry& entry = entries_[number];
  uint16_t* const ports = &scan_ports_[size_t{number} * limits_.scan_ports];
  uint16_t* const end = ports + entry.scan_ports;
  if (std::find(ports, end, port) != end) return true;
  if (entry.scan_ports == limits_.scan_ports) return false;
  *end = port;
  ++entry.scan_ports;
  return true;
}

// --- Memory ------------------------------------------------------------------------------------

void SourceTable::fetch_entry(const Place& place) const {
  const Number number = buckets_[place.bucket];
  __builtin_prefetch(&entries_[number], 1);
  __builtin_prefetch(&older_segments_[number], 1);
}

// The link to the first entry of the source, or the one at the end of its bucket. New sources are
// added at the end, so the oldest one, next to be removed, is mostly the first of its bucket and
// found at once.
SourceTable::Number& SourceTable::link_to(const Place& place) const {
  Number* link = &buckets_[place.bucket];
  while (*link != 0 && entries_[*link].place.source != place.source) {
    link = &entries_[*link].next_source;
  }
  return *link;
}

SourceTable::Number SourceTable::unused_entry(const Place& place) {
  while ((free_ == 0 && last_used_ == limits_.entries) ||
         (sources_ == limits_.sources && first_of(place) == 0)) {
    make_room();
  }
  return free_ == 0 ? ++last_used_ : std::exchange(free_, entries_[free_].next);
}

// Removes a source with its last entry, that of its best attempt.
void SourceTable::make_room() {
  const auto has_entries = [](const List& stage) { return stage.oldest != 0; };
  const Number oldest = std::find_if(stages_.begin(), stages_.end(), has_entries)->oldest;
  fetch_bucket(entries_[entries_[oldest].by_stage.newer].place);  // the next to be removed
  remove(oldest);
}

// Adds it at the end, so that a source's entries stay in order.
void SourceTable::enter_bucket(Number number) {
  Entry& entry = entries_[number];
  Number* end = &link_to(entry.place);
  if (*end == 0) ++sources_;
  while (*end != 0) end = &entries_[*end].next;
  *end = number;
  entry.next = entry.next_source = 0;
}

void SourceTable::leave_bucket(Number number) {
  const auto [next, next_source] = std::pair(entries_[number].next, entries_[number].next_source);
  Number* link = &link_to(entries_[number].place);
  const bool first = *link == number;
  while (*link != number) link = &entries_[*link].next;
  *link = first && next == 0 ? next_source : next;
  if (!first) return;
  if (next == 0) {
    --sources_;
  } else {
    entries_[next].next_source = next_source;
  }
}

void SourceTable::enter_lists(Number number, Lifetime lifetime, Instant now) {
  Entry& entry = entries_[number];
  entry.stage = 0;
  entry.lifetime = lifetime;
  entry.since = now;
  append(ages_[lifetime].entries, number, &Entry::by_age);
  append(stages_[0], number, &Entry::by_stage);
  expire_at(now + ages_[lifetime].lifetime);
}

void SourceTable::leave_lists(Number number) {
  const Entry& entry = entries_[number];
  unlink(ages_[entry.lifetime].entries, number, &Entry::by_age);
  unlink(stages_[entry.stage], number, &Entry::by_stage);
}

void SourceTable::append(List& list, Number number, Link Entry::*link) {
  entries_[number].*link = {list.newest, 0};
  (list.newest != 0 ? (entries_[list.newest].*link).newer : list.oldest) = number;
  list.newest = number;
}

void SourceTable::unlink(List& list, Number number, Link Entry::*link) {
  const auto& [older, newer] = entries_[number].*link;
  (older != 0 ? (entries_[older].*link).newer : list.oldest) = newer;
  (newer != 0 ? (entries_[newer].*link).older : list.newest) = older;
}

}  // namespace knockd
