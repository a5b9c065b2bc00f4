// SPDX-License-Identifier: MIT
#include "knockd/app/replay_summary.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "knockd/base/text.h"
#include "knockd/net/tcp_flags.h"

namespace knockd {
namespace {

std::string text_of(const Knock& knock) { return to_string(Sequence{knock}); }

std::string seconds_text(Duration duration) {
  return format("%lld s", static_cast<long long>(duration / std::chrono::seconds(1)));
}

// In tenths of a second, rounded up, so that it is never 0.0 s.
std::string lateness_text(Duration late) {
  constexpr Duration kTenth = std::chrono::milliseconds(100);
  const auto tenths = std::max<int64_t>(1, (late + kTenth - Duration(1)) / kTenth);
  return format("%lld.%lld s", static_cast<long long>(tenths / 10),
                static_cast<long long>(tenths % 10));
}

// The progress of a source at a door.
size_t reached(uint64_t opened, uint8_t stage) { return opened > 0 ? kMaxKnocks + 1 : stage; }

}  // namespace

void ReplaySummary::on_explanation(const Explanation& explanation, Instant now) {
  const Packet& packet = explanation.packet;
  ++packets_;
  if (explanation.verdict == Verdict::kRetransmission) return;
  look_for_late(packet, now);
  switch (explanation.verdict) {
    case Verdict::kAccepted: {
      Record& one = record(packet.source, explanation.door);
      if (explanation.stage == 1) end_late(one);
      one.stage = explanation.stage;
      one.knocks = rules_.sequence(explanation.door).size();
      one.obstacle.clear();
      return;
    }
    case Verdict::kWrongKnock:
      return fail(record(packet.source, explanation.door), explanation.stage,
                  format("wrong order at knock %d: expected %s, came %s", explanation.stage + 1,
                         text_of(rules_.sequence(explanation.door)[explanation.stage]).c_str(),
                         text_of({packet.destination_port, packet.protocol}).c_str()));
    case Verdict::kCoolingDown:
      return add_obstacle(packet, explanation.door,
                          "the door ignores knocks for " +
                              seconds_text(rules_.all()[explanation.door].seq_cooldown) +
                              " after it was opened (Seq_Cooldown)");
    case Verdict::kRepeated:
      return;
    default:
      look_at_rules(packet);
  }
}

void ReplaySummary::on_event(const KnockEvent& event, Instant now) {
  const bool is_told = event.kind == EventKind::kOpen || event.kind == EventKind::kScan ||
                       event.kind == EventKind::kTimeout;
  if (!is_told) return;  // the other events are known from explanations
  Record& one = record(event.source, event.door);
  if (event.kind == EventKind::kOpen) {
    ++one.opened;
    one.stage = 0;
  } else if (event.kind == EventKind::kScan) {
    fail(one, event.stage, "port scan, other ports were tried meanwhile (Scan_Limit)");
  } else {
    one.stage = 0;
    one.late = Late{event.stage, rules_.sequence(event.door)[event.stage], now};
  }
}

ReplaySummary::Record& ReplaySummary::record(const IpAddress& source, DoorNumber rule) {
  if (records_.size() >= 2 * kMostRemembered) forget_the_least();
  was_tried_[rules_.door_of(rule)] = true;
  const auto [found, is_new] = records_.try_emplace({source, rule});
  if (is_new) {
    found->second.order = packets_;
    found->second.knocks = rules_.sequence(rule).size();
  }
  return found->second;
}

// --- What went wrong ---------------------------------------------------------------------------

// Finds the knock that an expired attempt of this source was waiting for.
void ReplaySummary::look_for_late(const Packet& packet, Instant now) {
  const Knock knock{packet.destination_port, packet.protocol};
  for (auto one = records_.lower_bound({packet.source, 0});
       one != records_.end() && one->first.first == packet.source; ++one) {
    Record& record = one->second;
    if (!record.late || record.late->expected != knock) continue;
    if (!obstacle_of(packet, one->first.second, knock).empty()) continue;
    const Late late = *record.late;
    fail(record, late.stage,
         format("knock %d (%s) came %s too late, Seq_Timeout is %s", late.stage + 1,
                text_of(knock).c_str(), lateness_text(now - late.over).c_str(),
                seconds_text(rules_.all()[one->first.second].seq_timeout).c_str()));
  }
}

// For a packet that no door accepted: checks the rules of each door with its port.
void ReplaySummary::look_at_rules(const Packet& packet) {
  for (size_t rule = 0; rule < rules_.all().size(); ++rule) {
    look_at_rule(packet, static_cast<DoorNumber>(rule));
  }
}

void ReplaySummary::look_at_rule(const Packet& packet, DoorNumber rule) {
  const Sequence& sequence = rules_.sequence(rule);
  const auto has_port = [&](const Knock& knock) { return knock.port == packet.destination_port; };
  const auto found = std::find_if(sequence.begin(), sequence.end(), has_port);
  if (found == sequence.end()) return;
  const auto known = records_.find({packet.source, rule});
  const size_t stage = known == records_.end() ? 0 : known->second.stage;
  if (stage >= sequence.size() || (stage > 0 && !has_port(sequence[stage]))) return;
  const size_t knock = stage > 0 ? stage : static_cast<size_t>(found - sequence.begin());
  std::string what = obstacle_of(packet, rule, sequence[knock]);
  if (what.empty() && knock > stage) {
    what = " came, but " + knock_text(rule, 0) + " was not seen before it";
  }
  if (!what.empty()) add_obstacle(packet, rule, knock_text(rule, knock) + what);
}

// Why a packet to the port of this knock is not the knock, as text after "knock N"; empty if it is.
std::string ReplaySummary::obstacle_of(const Packet& packet, DoorNumber rule,
                                       const Knock& knock) const {
  const DoorRule& door = rules_.all()[rule];
  if (knock.protocol != packet.protocol) {
    return std::string(" came as ") + protocol_name(packet.protocol);
  }
  if (door.target && *door.target != packet.destination) {
    return " went to " + packet.destination.to_string() + ", Target is " + door.target->to_string();
  }
  if (packet.protocol == Protocol::kTcp && !door.flags.passes(packet.tcp_flags)) {
    return " came with " + flags_text(packet.tcp_flags) + ", TCPFlags is " + to_string(door.flags);
  }
  return {};
}

// "knock 2 (8000)", counted from 0 here.
std::string ReplaySummary::knock_text(DoorNumber rule, size_t knock) const {
  return format("knock %zu (%s)", knock + 1, text_of(rules_.sequence(rule)[knock]).c_str());
}

// An attempt in progress continues; without one, this is all there is about the source.
void ReplaySummary::add_obstacle(const Packet& packet, DoorNumber rule, std::string why) {
  Record& one = record(packet.source, rule);
  if (one.stage > 0) {
    one.obstacle = std::move(why);
  } else if (one.opened == 0 && one.why.empty() && !one.late) {
    one.why = std::move(why);
  }
}

// An attempt ended at this stage.
void ReplaySummary::fail(Record& record, uint8_t stage, std::string why) {
  record.stage = 0;
  record.obstacle.clear();
  record.late.reset();
  if (!record.why.empty() && stage <= record.farthest) return;
  record.farthest = stage;
  record.why = std::move(why);
}

// The expected knock did not come later either.
void ReplaySummary::end_late(Record& record) {
  if (!record.late) return;
  const Late late = *record.late;
  fail(record, late.stage,
       !record.obstacle.empty()
           ? record.obstacle
           : format("knock %d (%s) was not seen", late.stage + 1, text_of(late.expected).c_str()));
}

void ReplaySummary::forget_the_least() {
  using Rank = std::tuple<size_t, uint64_t, Key>;
  std::set<Rank> ranks;
  for (const auto& [key, one] : records_) {
    const uint8_t stage = std::max(one.stage, one.late ? one.late->stage : one.farthest);
    ranks.insert({reached(one.opened, stage), one.order, key});
  }
  for (const auto& [farthest, order, key] : ranks) {
    if (records_.size() == kMostRemembered) break;
    records_.erase(key);
  }
  has_forgotten_ = true;
}

// --- Lines -------------------------------------------------------------------------------------

// The record of a source at the end of the capture.
ReplaySummary::Record ReplaySummary::ended(const Record& record, DoorNumber rule) const {
  Record one = record;
  end_late(one);
  if (one.stage == 0) return one;
  const bool is_one_time = !doors_[rules_.door_of(rule)].one_time_file.empty();
  fail(one, one.stage,
       is_one_time ? "the one-time sequence was used up meanwhile"
                   : "the attempt was dropped to make room (Max_Sources)");
  return one;
}

// By source and door: a door with one-time sequences has several rules.
std::map<ReplaySummary::Key, ReplaySummary::Record> ReplaySummary::by_door() const {
  std::map<Key, Record> result;
  for (const auto& [key, record] : records_) {
    const Record one = ended(record, key.second);
    const auto [found, is_new] = result.try_emplace({key.first, rules_.door_of(key.second)}, one);
    if (is_new) continue;
    Record& all = found->second;
    all.opened += one.opened;
    if (all.why.empty() || one.farthest > all.farthest) {
      std::tie(all.farthest, all.knocks, all.why) = std::tie(one.farthest, one.knocks, one.why);
    }
  }
  return result;
}

std::string ReplaySummary::line_of(const Key& key, const Record& record) const {
  const Door& door = doors_[key.second];
  std::string text = key.first.to_string() + ": " + door.name + ": ";
  if (record.opened > 0) text += "opened";
  if (record.opened > 1) text += " " + counted(record.opened, "time");
  // All but one of several one-time sequences with a common beginning fail.
  const bool is_all = record.opened > 0 && !door.one_time_file.empty();
  if (record.why.empty() || is_all) return text;
  if (record.opened > 0) text += "; another attempt: ";
  return text + format("%d of %s: ", record.farthest, counted(record.knocks, "knock").c_str()) +
         record.why;
}

void ReplaySummary::add_untried_doors(std::vector<std::string>& lines) const {
  size_t untried = 0;
  for (size_t door = 0; door < doors_.size(); ++door) {
    if (was_tried_[door] || doors_[door].rule.sequence.empty()) continue;
    if (++untried <= kMostLines) {
      lines.push_back("summary: " + doors_[door].name + ": no packet to its ports was seen");
    }
  }
  if (untried > kMostLines) {
    lines.push_back("summary: nor one to the ports of " +
                    counted(untried - kMostLines, "other door"));
  }
}

std::vector<std::string> ReplaySummary::lines() const {
  using Rank = std::tuple<size_t, uint64_t, std::string>;  // the farthest sorts first
  std::multiset<Rank> ranks;
  for (const auto& [key, one] : by_door()) {
    if (one.opened == 0 && one.why.empty()) continue;
    ranks.insert(
        {kMaxKnocks + 1 - reached(one.opened, one.farthest), one.order, line_of(key, one)});
  }
  std::vector<std::string> lines;
  for (const auto& [farthest, order, line] : ranks) {
    if (lines.size() == kMostLines) break;
    lines.push_back("summary: " + line);
  }
  if (const size_t others = ranks.size() - lines.size(); others > 0) {
    lines.push_back(format("summary: %s%zu more, none of which came farther",
                           has_forgotten_ ? "over " : "", others));
  }
  add_untried_doors(lines);
  return lines;
}

}  // namespace knockd
