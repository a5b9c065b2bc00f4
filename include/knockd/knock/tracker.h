// SPDX-License-Identifier: MIT
// The matcher: packets in, events out. Follows each source through the doors' sequences by the five
// rules that knockd.conf(5) gives under MATCHING, within memory that is fixed at construction.
// Knows no clock, no capture and no commands; tests/knock/tracker_oracle_test.cpp holds it against
// a simple model that re-reads the whole history.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/keyed_hash.h"
#include "knockd/base/lookup_table.h"
#include "knockd/base/zeroed_memory.h"
#include "knockd/knock/door.h"
#include "knockd/knock/event.h"

namespace knockd {

// Takes what the tracker finds, during the call that found it; must not call the tracker back.
class TrackerSink {
 public:
  virtual ~TrackerSink() = default;
  virtual void on_event(const KnockEvent& event) = 0;
  // Only with TrackerOptions::explain.
  virtual void on_explanation(const Explanation&) {}
};

struct TrackerOptions {
  uint32_t max_sources = 65536;
  uint32_t scan_limit = 4;       // distinct ports; 0: no scan guard
  bool any_destination = false;  // every destination counts as an own address (replay)
  bool explain = false;
  HashKey hash_key{};  // random, unless a test wants to know the buckets
};

// Holds at most `max_sources` sources. Nothing is allocated for a packet, and the work for one does
// not grow with the number of sources, nor with that of doors it does not knock at.
// Time handed in must not go backwards.
class Tracker {
 public:
  // What is marked as cold is seldom called, and made small where the rest is made fast.
  [[gnu::cold]] Tracker(std::vector<DoorRule> doors, const TrackerOptions& options,
                        TrackerSink& sink);
  [[gnu::cold]] ~Tracker();
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  // The addresses at which doors without a target are knocked at. Attempts in progress go on.
  [[gnu::cold]] void set_own_addresses(const std::vector<IpAddress>& addresses);

  // Gives a door its next one-time sequence (empty: closed for good). Attempts at it are over.
  // Events carry the generation of the sequence that they belong to; it is 0 at construction.
  void set_sequence(DoorNumber door, Sequence sequence, uint32_t generation);

  void handle(const Packet& packet, Instant now);
  // The same for each in turn, and faster: memory is asked for ahead.
  void handle(std::span<const Packet> packets, Instant now);

  // False if the system has not the memory for so many sources. Nothing else may be called then.
  bool has_memory() const {
    return records_ && older_segments_ && scan_ports_ && buckets_ && behind_;
  }

  // Ends the attempts that have become too old, in the order of their age.
  void expire(Instant now);
  // When `expire` has something to do next; may be earlier than that, never later.
  std::optional<Instant> next_expiry() const;

  // The sources remembered now.
  uint32_t sources() const { return sources_; }
  // Bytes of memory taken for a source with one attempt, its share of the table included.
  size_t bytes_per_source() const;

 private:
  // A record is a source at a door. Records are numbered from 1; 0 is none.
  using RecordNumber = uint32_t;
  struct Record;
  struct List {
    RecordNumber oldest = 0;
    RecordNumber newest = 0;
  };
  struct Link;
  // Fingerprints of the segments that a record's attempt took before the last, newest first; 0: no
  // more. With the last one they are 16.
  using OlderSegments = std::array<uint32_t, 15>;
  struct ExpiryClass {
    Duration age{};
    List records;
  };
  // What one destination address means to the doors.
  struct Place {
    bool own = false;
    uint32_t target = 0;  // number of the target; 0: none
  };
  // The doors behind one port and protocol at one place.
  struct Knockable {
    std::vector<FlagMask> masks;     // distinct masks of the doors that have this port anywhere
    std::vector<DoorNumber> begins;  // the doors whose first knock this is
  };
  // What is behind a packet's port: at the own addresses, and at the target that it is sent to.
  struct Matches {
    const Knockable* own = nullptr;
    const Knockable* targeted = nullptr;
  };
  struct MixAddress {
    uint64_t operator()(const IpAddress& address) const;
  };
  struct MixPort {
    uint64_t operator()(uint64_t port) const;
  };
  struct DoorState {
    uint32_t target = 0;  // number of the target; 0: the own addresses
    uint16_t expiry_class = 0;
    uint32_t generation = 0;
    std::optional<Instant> cooling_until;
  };

  // Where a source is looked for: its bucket, and what the entries of its records bear.
  struct Spot {
    uint32_t bucket = 0;
    uint32_t mark = 0;
  };
  // A record in its bucket's chain: its number and, in the bits that no number needs, a mark of its
  // source. So a chain is followed without a look at the records of others. 0 is the end.
  using Entry = uint32_t;
  // A source that will soon be forgotten.
  struct Ahead {
    IpAddress source;
    Spot spot;
  };

  void handle(const Packet& packet, const Spot& spot, Instant now);
  [[gnu::cold]] void index_doors();
  [[gnu::cold]] void index_port(uint32_t target, const Knock& knock, FlagMask mask);
  [[gnu::cold]] uint16_t expiry_class_for(Duration age);
  Place place_of(const IpAddress& destination) const;
  const Knockable* knockable(uint32_t target, const Packet& packet) const;
  bool addressed(DoorNumber door, const Place& place) const;
  bool flags_pass(DoorNumber door, const Packet& packet) const;
  DoorNumber cooled_as(DoorNumber door) const;
  bool is_cooling(DoorNumber door, Instant now) const;
  Matches matches_of(const Place& place, const Packet& packet) const;
  static bool counts(const Matches& matches, const Packet& packet);

  bool count_against_scan(const Packet& packet, const Spot& spot);
  bool has_accepted(const Record& attempt, const Knock& knock) const;
  bool add_scan_port(RecordNumber number, uint16_t port);
  bool is_retransmission(const Packet& packet, const Spot& spot, uint32_t fingerprint) const;
  bool hold_against_attempts(const Packet& packet, const Place& place, const Spot& spot,
                             uint32_t fingerprint, Instant now);
  bool begin_attempts(const Packet& packet, const Matches& matches, const Spot& spot, bool known,
                      uint32_t fingerprint, Instant now);
  void remember_segment(RecordNumber number, uint32_t fingerprint);
  void accept(RecordNumber number, const Packet& packet, uint32_t fingerprint, Instant now);

  Spot spot_of(const IpAddress& source) const;
  Spot spot_of(RecordNumber number) const;
  RecordNumber number_of(Entry entry) const { return entry & number_mask_; }
  // The records of a source: the first, and the one behind another of them; 0 if there is none.
  RecordNumber first_of(const IpAddress& source, const Spot& spot) const;
  RecordNumber next_of(RecordNumber number, const Spot& spot) const;
  RecordNumber likely_record(const Spot& spot) const;
  RecordNumber find_from(Entry entry, const IpAddress& source, const Spot& spot) const;
  static uint32_t fingerprint_of(const Packet& packet);
  RecordNumber add_record(const IpAddress& source, const Spot& spot, bool known, DoorNumber door,
                          Instant now);
  [[gnu::cold]] void fetch_memory();
  void remove_record(RecordNumber number);
  void make_room();
  void look_ahead(const List& list, Link Record::*link);
  void prefetch_record(RecordNumber number) const;
  Record& record(RecordNumber number) const;

  static void append(List& list, RecordNumber number, Record* records, Link Record::*link);
  static void unlink(List& list, RecordNumber number, Record* records, Link Record::*link);
  void join_expiry_class(RecordNumber number, uint16_t expiry_class);
  uint16_t expiry_class_of(const Record& record) const;

  // `cause` is null if it was time.
  void tell(EventKind kind, const Record& record, const Packet* cause);
  void explain(const Packet& packet, Verdict verdict, DoorNumber door = kNoDoor, uint8_t stage = 0);

  const TrackerOptions options_;
  TrackerSink& sink_;
  std::vector<DoorRule> doors_;
  std::vector<DoorState> states_;
  std::vector<ExpiryClass> expiry_classes_;
  uint16_t linger_class_ = 0;
  std::optional<Instant> next_expiry_;

  LookupTable<IpAddress, Place, MixAddress> places_;
  LookupTable<uint64_t, Knockable, MixPort> knockables_;
  uint32_t targets_ = 0;

  uint32_t capacity_ = 0;                      // records
  uint32_t number_mask_ = 0;                   // the bits of an entry that are its number
  ZeroedArray<Record> records_;                // capacity_ + 1
  ZeroedArray<OlderSegments> older_segments_;  // by record number
  ZeroedArray<uint16_t> scan_ports_;           // scan_limit for each record
  ZeroedArray<Entry> buckets_;                 // max_sources chains
  ZeroedArray<Entry> behind_;                  // by record number: what follows in its chain
  RecordNumber never_used_ = 1;                // records from here on were never used
  RecordNumber free_ = 0;                      // used and free again, chained by behind_
  uint32_t sources_ = 0;
  // How far look_ahead() has come, and in which list.
  const List* ahead_in_ = nullptr;
  RecordNumber farthest_ = 0;
  std::array<Ahead, 8> ahead_;  // by record number
  std::vector<List> stages_;    // by knocks accepted; [0]: sources without an attempt
};

}  // namespace knockd
