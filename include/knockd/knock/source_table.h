// SPDX-License-Identifier: MIT
// The tracker's memory of strangers, of a size fixed at construction: a hash table whose entries
// are also in a list by age and one by stage, so that the next to be removed is found at once.
// Independent of doors and packets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/knock/event.h"
#include "knockd/knock/keyed_hash.h"
#include "knockd/net/address.h"

namespace knockd {

// Holds a fixed number of sources and of entries; an entry is a source at a door. A full table
// removes the oldest entry of the lowest stage; a source is removed with its last entry. Time must
// not go backwards. Only has_memory() reports a lack of memory.
class SourceTable {
 public:
  using Number = uint32_t;    // of an entry; 0: none
  using Lifetime = uint16_t;  // the number of an added duration

  struct Limits {
    uint32_t sources = 0;
    uint32_t entries = 0;     // at least
    uint32_t scan_ports = 0;  // per entry
    bool codes = false;       // whether entries have one
  };
  static constexpr size_t kSegments = 16;  // per entry

  struct Link {
    Number older = 0;
    Number newer = 0;
  };
  // A source and its bucket.
  struct Place {
    IpAddress source;
    uint32_t bucket = 0;
  };
  struct alignas(64) Entry {  // one cache line
    Place place;
    Number next = 0;         // of the same source, or in the free list
    Number next_source = 0;  // in the bucket; only in a source's first entry
    uint32_t segment = 0;    // the last accepted one
    Link by_age{};           // among entries with its lifetime
    Link by_stage{};
    Instant since{};
    DoorNumber door = 0;
    Lifetime lifetime = 0;   // counts from `since`
    uint8_t stage = 0;       // knocks accepted; 0: the attempt is over
    uint8_t segments = 0;    // how many are known
    uint8_t scan_ports = 0;  // how many are known
  };

  SourceTable(const Limits& limits, const HashKey& hash_key);
  bool has_memory() const {
    return entries_ && older_segments_ && scan_ports_ && buckets_ && (codes_ || !limits_.codes);
  }

  // Returns the same number for the same duration. Only before the first entry.
  Lifetime add_lifetime(Duration duration);

  // The entries of a source, in the order of their beginning.
  Place place_of(const IpAddress& source) const;
  Number first_of(const Place& place) const { return link_to(place); }
  Number next_of(Number number) const { return entries_[number].next; }
  const Entry& operator[](Number number) const { return entries_[number]; }
  uint32_t sources() const { return sources_; }

  // Sets this source's entry at this door to stage 0, without scan ports. An existing entry keeps
  // its segments.
  Number begin(const Place& place, DoorNumber door, Lifetime lifetime, Instant now);
  void advance(Number number);
  // Sets stage 0 and starts a lifetime now.
  void end(Number number, Lifetime lifetime, Instant now);
  void remove(Number number);
  // Removes entries above stage 0 for which `stays` is false; it may set the code.
  void remove_attempts_at(DoorNumber door, const std::function<bool(Number)>& stays);

  // Removes the entries whose lifetime is over. Reports each before, the oldest of a lifetime
  // first.
  void expire(Instant now, const std::function<void(const Entry&)>& report);
  // When the next entry expires; may be too early, never too late.
  std::optional<Instant> next_expiry() const { return next_expiry_; }

  // With many sources each look-up waits for memory several times. These prefetch it for several
  // packets: first the buckets, then the entries in them.
  void fetch_bucket(const Place& place) const { __builtin_prefetch(&buckets_[place.bucket], 1); }
  void fetch_entry(const Place& place) const;

  // Remembers the last kSegments; a segment is any number.
  void add_segment(Number number, uint32_t segment);
  bool knows_segment(Number number, uint32_t segment) const;
  // Returns whether there was room for the port. A known port needs none.
  bool add_scan_port(Number number, uint16_t port);

  // Only with Limits::codes. The code is not reset when the entry is reused.
  uint16_t code_of(Number number) const { return codes_ ? codes_[number] : uint16_t{0}; }
  void set_code(Number number, uint16_t code) {
    if (codes_) codes_[number] = code;
  }

  // Bytes of memory for a source with one entry, including its share of the buckets.
  static constexpr size_t bytes_per_source(uint32_t scan_ports) {
    return sizeof(Entry) + sizeof(OlderSegments) + scan_ports * sizeof(uint16_t) +
           2 * sizeof(Number);
  }

 private:
  struct List {
    Number oldest = 0;
    Number newest = 0;
  };
  struct Age {
    Duration lifetime{};
    List entries;
  };
  // All segments but the last, newest first. Separate from the entries: a flood of first knocks
  // does not touch them, so they use no memory then. Also one cache line.
  struct alignas(64) OlderSegments {
    std::array<uint32_t, kSegments - 1> segments;
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  template <class T>
  using Array = std::unique_ptr<T[], Free>;

  Number& link_to(const Place& place) const;
  Number unused_entry(const Place& place);
  void make_room();
  void enter_bucket(Number number);
  void leave_bucket(Number number);
  void enter_lists(Number number, Lifetime lifetime, Instant now);
  void leave_lists(Number number);
  void expire_at(Instant due);
  void append(List& list, Number number, Link Entry::*link);
  void unlink(List& list, Number number, Link Entry::*link);

  const Limits limits_;
  const HashKey hash_key_;
  Array<Entry> entries_;  // the first is unused
  Array<OlderSegments> older_segments_;
  Array<uint16_t> scan_ports_;
  Array<uint16_t> codes_;
  Array<Number> buckets_;  // two per source
  Number last_used_ = 0;   // later entries were never used
  Number free_ = 0;        // used and freed
  uint32_t sources_ = 0;
  std::vector<Age> ages_;
  std::vector<List> stages_;
  std::optional<Instant> next_expiry_;
};

}  // namespace knockd
