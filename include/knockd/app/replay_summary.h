// SPDX-License-Identifier: MIT
// The summary of a replay with -D: for each source and door how far the knocks came, and what went
// wrong with the next one. Pure: built from the tracker's explanations and events.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/config/config.h"
#include "knockd/config/door_rules.h"
#include "knockd/knock/event.h"

namespace knockd {

// Remembers at least the kMostRemembered pairs of source and door that came farthest, for captures
// of any size.
class ReplaySummary {
 public:
  static constexpr size_t kMostLines = 20;  // of sources, and as many of doors
  static constexpr size_t kMostRemembered = 4096;

  // Both must outlive this; `rules` must have the sequences in force.
  ReplaySummary(const std::vector<Door>& doors, const DoorRules& rules)
      : doors_(doors), rules_(rules), was_tried_(doors.size()) {}

  // To be called in the tracker's order, with the time of the packet or timeout.
  void on_explanation(const Explanation& explanation, Instant now);
  void on_event(const KnockEvent& event, Instant now);

  // The farthest first, then doors without knocks.
  std::vector<std::string> lines() const;

 private:
  // An expired attempt, while its next knock may still come.
  struct Late {
    uint8_t stage = 0;
    Knock expected;
    Instant over;
  };
  // The record of one source at one rule.
  struct Record {
    uint64_t order = 0;    // of the first packet
    uint64_t opened = 0;   // times
    uint8_t stage = 0;     // of the attempt in progress
    size_t knocks = 0;     // of the sequence
    std::string obstacle;  // why its next knock came but was not accepted
    std::optional<Late> late;
    uint8_t farthest = 0;  // stage of the failed attempt that came farthest
    std::string why;       // that attempt failed; empty: none failed
  };
  using Key = std::pair<IpAddress, DoorNumber>;  // source and rule, or source and door

  Record& record(const IpAddress& source, DoorNumber rule);
  void look_for_late(const Packet& packet, Instant now);
  void look_at_rules(const Packet& packet);
  void look_at_rule(const Packet& packet, DoorNumber rule);
  std::string obstacle_of(const Packet& packet, DoorNumber rule, const Knock& knock) const;
  std::string knock_text(DoorNumber rule, size_t knock) const;
  void add_obstacle(const Packet& packet, DoorNumber rule, std::string why);
  static void fail(Record& record, uint8_t stage, std::string why);
  static void end_late(Record& record);
  void forget_the_least();
  Record ended(const Record& record, DoorNumber rule) const;
  std::map<Key, Record> by_door() const;
  std::string line_of(const Key& key, const Record& record) const;
  void add_untried_doors(std::vector<std::string>& lines) const;

  const std::vector<Door>& doors_;
  const DoorRules& rules_;
  std::map<Key, Record> records_;
  std::vector<bool> was_tried_;  // by door
  uint64_t packets_ = 0;
  bool has_forgotten_ = false;
};

}  // namespace knockd
