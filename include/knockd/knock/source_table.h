// SPDX-License-Identifier: MIT
// What the tracker remembers of strangers, within memory that is fixed at construction: a hash
// table whose entries also stand in a list by age and in one by stage, so that the next to be
// forgotten is found at once. It knows neither doors nor packets.
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
// makes room by removing the oldest entry of the lowest stage; a source goes with the last of its
// entries. Time handed in must not go backwards. A lack of memory is known by has_memory() alone.
class SourceTable {
 public:
  using Number = uint32_t;    // of an entry; 0: none
  using Lifetime = uint16_t;  // number of a duration that was added

  struct Limits {
    uint32_t sources = 0;
    uint32_t entries = 0;     // not fewer
    uint32_t scan_ports = 0;  // of an entry
    bool codes = false;       // entries have one
  };
  static constexpr size_t kSegments = 16;  // for an entry

  struct Link {
    Number older = 0;
    Number newer = 0;
  };
  // A source and where it is looked for.
  struct Place {
    IpAddress source;
    uint32_t bucket = 0;
  };
  struct alignas(64) Entry {  // one line of a cache
    Place place;
    Number next = 0;         // of the same source, or of those that are free
    Number next_source = 0;  // in the bucket; of a source's first entry alone
    uint32_t segment = 0;    // the last that it took
    Link by_age{};           // among those of its lifetime
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

  // The same number for the same duration. Only before the first entry.
  Lifetime add_lifetime(Duration duration);

  // The entries of a source in the order in which they began.
  Place place_of(const IpAddress& source) const;
  Number first_of(const Place& place) const { return link_to(place); }
  Number next_of(Number number) const { return entries_[number].next; }
  const Entry& operator[](Number number) const { return entries_[number]; }
  uint32_t sources() const { return sources_; }

  // The entry of this source at this door, at stage 0 and without scan ports. If there was one
  // already, its segments stay known.
  Number begin(const Place& place, DoorNumber door, Lifetime lifetime, Instant now);
  void advance(Number number);
  // Stage 0, and a lifetime that begins now.
  void end(Number number, Lifetime lifetime, Instant now);
  void remove(Number number);
  // All but those of stage 0 of which `stays` is false; it may set the code.
  void remove_attempts_at(DoorNumber door, const std::function<bool(Number)>& stays);

  // Removes the entries whose lifetime is over and reports each before, the oldest of a lifetime
  // first.
  void expire(Instant now, const std::function<void(const Entry&)>& report);
  // When there is something to expire; may be earlier than that, never later.
  std::optional<Instant> next_expiry() const { return next_expiry_; }

  // With many sources each look-up waits for memory several times. These ask for it ahead, for one
  // packet after another: first for the bucket, then for the entry in it.
  void fetch_bucket(const Place& place) const { __builtin_prefetch(&buckets_[place.bucket], 1); }
  void fetch_entry(const Place& place) const;

  // The last kSegments are known; a segment is any number.
  void add_segment(Number number, uint32_t segment);
  bool knows_segment(Number number, uint32_t segment) const;
  // Whether there was room for one more port. One that is known takes none.
  bool add_scan_port(Number number, uint16_t port);

  // Only with Limits::codes: a number that stays what it was set to, whatever entry this becomes.
  uint16_t code_of(Number number) const { return codes_ ? codes_[number] : uint16_t{0}; }
  void set_code(Number number, uint16_t code) {
    if (codes_) codes_[number] = code;
  }

  // Bytes of memory for a source with one entry, its share of the buckets included.
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
  // All but the last, the newest first. Apart from the entries: a flood of first knocks does not
  // touch them, so they take no memory then. They too are one line of a cache.
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
  Array<Entry> entries_;  // the first is not used
  Array<OlderSegments> older_segments_;
  Array<uint16_t> scan_ports_;
  Array<uint16_t> codes_;
  Array<Number> buckets_;  // two for each source
  Number last_used_ = 0;   // entries beyond were never used
  Number free_ = 0;        // used, and free again
  uint32_t sources_ = 0;
  std::vector<Age> ages_;
  std::vector<List> stages_;
  std::optional<Instant> next_expiry_;
};

}  // namespace knockd
