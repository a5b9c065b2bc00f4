// SPDX-License-Identifier: MIT
// The matcher: packets in, events out. Follows each source through the doors' sequences by the five
// rules that knockd.conf(5) gives under MATCHING. Which doors a packet concerns is left to
// DoorIndex, what is remembered of a source to SourceTable. Knows no clock, no capture and no
// commands; tests/knock/tracker_oracle_test.cpp compares it with a simple model that reads the
// whole history again for each packet.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "knockd/knock/door_index.h"
#include "knockd/knock/source_table.h"

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
  Bounds bounds;
  bool any_destination = false;  // every destination counts as an own address (replay)
  bool explain = false;
  HashKey hash_key{};  // random, unless a test wants to know the buckets
};

// Holds at most `max_sources` sources. Nothing is allocated for a packet, and the work for one does
// not grow with the number of sources, nor with that of doors it does not knock at.
// Time handed in must not go backwards.
class Tracker {
 public:
  Tracker(std::vector<DoorRule> doors, const TrackerOptions& options, TrackerSink& sink);
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  // False if the system has not the memory for so many sources. Nothing else may be called then.
  bool has_memory() const { return sources_.has_memory(); }

  // The addresses at which doors without a target are knocked at. Attempts in progress go on.
  void set_own_addresses(const std::vector<IpAddress>& addresses);

  // Gives a door its next one-time sequence (empty: closed for good). Attempts at it are over.
  // Events carry the generation of the sequence that they belong to; it is 0 at construction.
  void set_sequence(DoorNumber door, Sequence sequence, uint32_t generation);

  // Gives doors the codes that are in force from now on. An attempt goes on where one of them
  // agrees with what was knocked so far.
  void set_codes(std::vector<DoorCodes> codes);

  void handle(const Packet& packet, Instant now) {
    handle(packet, sources_.place_of(packet.source), now);
  }
  // The same for each in turn, and faster with many sources.
  void handle(std::span<const Packet> packets, Instant now);

  // Ends the attempts that have become too old.
  void expire(Instant now);
  // When `expire` has something to do next; may be earlier than that, never later.
  std::optional<Instant> next_expiry() const { return sources_.next_expiry(); }

  // The sources remembered now.
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

  // `cause` is null if it was time.
  KnockEvent event_of(EventKind kind, const Entry& attempt, const Packet* cause) const;
  void tell(EventKind kind, const Entry& attempt, const Packet* cause);
  uint8_t& guesses_of(const Entry& attempt);
  void explain(const Packet& packet, Verdict verdict, DoorNumber door = kNoDoor, uint8_t stage = 0);

  const TrackerOptions options_;
  TrackerSink& sink_;
  DoorIndex doors_;
  std::vector<DoorState> states_;
  SourceTable sources_;
  // Wrong codes since the codes changed, by door and source: two can share a place, but nobody can
  // choose with whom. Only a flood of millions in a step fills it.
  std::vector<uint8_t> guesses_;
  SourceTable::Lifetime linger_ = 0;
};

}  // namespace knockd
