// SPDX-License-Identifier: MIT
// The matcher: packets in, events out. Follows each source through the doors' sequences by the five
// rules of knockd.conf(5), MATCHING. DoorIndex finds the doors of a packet, SourceTable remembers
// sources. Independent of clock, capture and commands; tests/knock/tracker_oracle_test.cpp compares
// it with a simple model that reads the whole history again for each packet.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "knockd/knock/door_index.h"
#include "knockd/knock/source_table.h"

namespace knockd {

// Receives the tracker's events during the call that found them; must not call the tracker back.
class TrackerSink {
 public:
  virtual ~TrackerSink() = default;
  virtual void on_event(const KnockEvent& event) = 0;
  // Only with TrackerOptions::explain.
  virtual void on_explanation(const Explanation&) {}
};

struct TrackerOptions {
  Bounds bounds;
  bool any_destination = false;  // every destination counts as an own address (replay)
  bool explain = false;
  HashKey hash_key{};  // random, except in tests that choose buckets
};

// Holds at most `max_sources` sources. A packet causes no allocation, and its cost depends neither
// on the number of sources nor on the doors that it does not concern. Time must not go backwards.
class Tracker {
 public:
  Tracker(std::vector<DoorRule> doors, const TrackerOptions& options, TrackerSink& sink);
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  // False if there is not enough memory for the sources. Nothing else may be called then.
  bool has_memory() const { return sources_.has_memory(); }

  // The addresses of doors without a target. Attempts in progress continue.
  void set_own_addresses(const std::vector<IpAddress>& addresses);

  // Gives a door its next one-time sequence (empty: closed permanently). Ends attempts at it.
  // Events have the generation of their sequence; it is 0 at construction.
  void set_sequence(DoorNumber door, Sequence sequence, uint32_t generation);

  // Gives doors the codes in force from now on. An attempt continues if one of them matches its
  // knocks so far.
  void set_codes(std::vector<DoorCodes> codes);

  void handle(const Packet& packet, Instant now) {
    handle(packet, sources_.place_of(packet.source), now);
  }
  // The same for each packet in turn, and faster with many sources.
  void handle(std::span<const Packet> packets, Instant now);

  // Ends attempts that are too old.
  void expire(Instant now);
  // When `expire` is due next; may be too early, never too late.
  std::optional<Instant> next_expiry() const { return sources_.next_expiry(); }

  // The number of remembered sources.
  uint32_t sources() const { return sources_.sources(); }

 private:
  using Number = SourceTable::Number;
  using Entry = SourceTable::Entry;
  struct DoorState {
    SourceTable::Lifetime seq_timeout = 0;
    uint32_t generation = 0;
    std::optional<Instant> cooling_until;
  };

  void handle(const Packet& packet, const SourceTable::Place& place, Instant now);
  bool is_retransmission(const Packet& packet, Number first) const;
  bool compare_with_attempts(const Packet& packet, const DoorMatch& match, Number first,
                             Instant now);
  bool begin_attempts(const Packet& packet, const DoorMatch& match, const SourceTable::Place& place,
                      Instant now);
  void accept(Number number, const Packet& packet, uint16_t code, Instant now);
  bool count_against_scan(const Packet& packet, const SourceTable::Place& place);
  bool has_accepted(Number number, const Knock& knock) const;
  void remember_segment(Number number, const Packet& packet);
  std::optional<Instant>& cooling_until(DoorNumber door);
  bool is_cooling(DoorNumber door, Instant now);

  // `cause` is null for a timeout.
  KnockEvent event_of(EventKind kind, const Entry& attempt, const Packet* cause) const;
  void tell(EventKind kind, const Entry& attempt, const Packet* cause);
  uint8_t& guesses_of(const Entry& attempt);
  void explain(const Packet& packet, Verdict verdict, DoorNumber door = kNoDoor, uint8_t stage = 0);

  const TrackerOptions options_;
  TrackerSink& sink_;
  DoorIndex doors_;
  std::vector<DoorState> states_;
  SourceTable sources_;
  // Wrong codes since the codes changed, by a hash of door and source. Two can share a place, but
  // cannot choose to. Only a flood of millions in a step fills it.
  std::vector<uint8_t> guesses_;
  SourceTable::Lifetime linger_ = 0;
};

}  // namespace knockd
