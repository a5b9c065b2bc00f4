// SPDX-License-Identifier: MIT
// Compares the tracker with an oracle: a model without state that for each packet reads the whole
// history again by the rules of the contract. Random doors, few sources and few ports, so that
// sequences complete and every interruption occurs.
//
// KNOCKD_ORACLE_SEED=N repeats a run, KNOCKD_ORACLE_PACKETS=N makes it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "knockd/knock/tracker.h"

namespace knockd {

void PrintTo(const KnockEvent& event, std::ostream* out) {
  const std::array kinds = {"stage", "open", "timeout", "scan", "wrong"};
  *out << event.source.to_string() << " door " << event.door << " generation " << event.generation
       << ' ' << kinds[static_cast<size_t>(event.kind)] << ' ' << int{event.stage};
}

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Random = std::mt19937_64;

// How long a segment that opened a door is recognized (RFC 6298 backs off to 64 s).
constexpr Duration kLinger = seconds(64);

// External events for a tracker.
struct Happening {
  enum class Kind { kPacket, kOwnAddresses, kSequence } kind;
  Instant time{};
  Packet packet{};
  std::vector<IpAddress> own_addresses{};
  DoorNumber door = 0;
  Sequence sequence{};
  uint32_t generation = 0;
};

// ---- the oracle ----

struct Attempt {
  DoorNumber door = 0;
  size_t stage = 0;
  Instant began{};
  std::vector<Packet> taken{};  // all segments that it accepted or recognized as repeated
  std::set<uint16_t> scanned{};
  std::optional<Instant> opened{};  // ended, but its last knock is still recognized
};

struct Opened {
  size_t happening = 0;
  DoorNumber door = 0;
};

class Oracle {
 public:
  Oracle(std::vector<DoorRule> doors, const TrackerOptions& options)
      : initial_doors_(std::move(doors)), options_(options) {}

  // The effects of the history's last packet. Remembers the openings, because sources share only
  // the cooldown of doors.
  std::vector<KnockEvent> happens(const Happening& happening) {
    history_.push_back(happening);
    if (happening.kind != Happening::Kind::kPacket) return {};
    read_history_of(happening.packet.source);
    for (const KnockEvent& event : events_) {
      if (event.kind == EventKind::kOpen) opened_.push_back({history_.size() - 1, event.door});
    }
    return events_;
  }

  // The timeouts of a source, with their instants.
  std::vector<std::pair<Instant, KnockEvent>> timeouts(const IpAddress& source, Instant now) {
    read_history_of(source);
    end_old_attempts(now);
    return timeouts_;
  }

  // When a source's first attempt expires.
  std::optional<Instant> first_deadline(const IpAddress& source, Instant now) {
    read_history_of(source);
    end_old_attempts(now);
    std::optional<Instant> first;
    for (const Attempt& attempt : attempts_) {
      const Instant deadline = attempt.began + doors_[attempt.door].seq_timeout;
      if (!attempt.opened && (!first || deadline < *first)) first = deadline;
    }
    return first;
  }

 private:
  void read_history_of(const IpAddress& source) {
    doors_ = initial_doors_;
    generations_.assign(doors_.size(), 0);
    own_addresses_.clear();
    attempts_.clear();
    timeouts_.clear();
    source_ = source;
    for (at_ = 0; at_ < history_.size(); ++at_) {
      const Happening& happening = history_[at_];
      const bool is_packet = happening.kind == Happening::Kind::kPacket;
      if (is_packet && happening.packet.source != source) continue;
      end_old_attempts(happening.time);
      events_.clear();
      switch (happening.kind) {
        case Happening::Kind::kPacket:
          read_packet(happening.packet, happening.time);
          break;
        case Happening::Kind::kOwnAddresses:
          own_addresses_ = happening.own_addresses;
          break;
        case Happening::Kind::kSequence:
          doors_[happening.door].sequence = happening.sequence;
          generations_[happening.door] = happening.generation;
          std::erase_if(attempts_, [&](const Attempt& attempt) {
            return attempt.door == happening.door && !attempt.opened;
          });
          break;
      }
    }
  }

  // Rule 1.
  void end_old_attempts(Instant now) {
    for (const Attempt& attempt : attempts_) {
      const Instant deadline = attempt.began + doors_[attempt.door].seq_timeout;
      if (!attempt.opened && now >= deadline) {
        timeouts_.emplace_back(deadline, event_of(EventKind::kTimeout, attempt));
      }
    }
    std::erase_if(attempts_, [&](const Attempt& attempt) {
      return attempt.opened ? now - *attempt.opened >= kLinger
                            : now - attempt.began >= doors_[attempt.door].seq_timeout;
    });
  }

  void read_packet(const Packet& packet, Instant now) {
    bool retransmission = false;
    bool accepted = false;
    if (counts_for_some_door(packet)) {
      for (const Attempt& attempt : attempts_) {
        if (knows_again(attempt, packet)) retransmission = true;  // rule 2
      }
      if (!retransmission) {
        accepted = hold_against_attempts(packet, now);
        if (!accepted) accepted = begin_attempts(packet, now);
      }
    }
    if (!retransmission && !accepted) count_scan(packet);
  }

  // True if it is one of the last 16 tcp packets of this attempt.
  static bool knows_again(const Attempt& attempt, const Packet& packet) {
    std::vector<Packet> segments;
    for (const Packet& taken : attempt.taken) {
      if (taken.protocol == Protocol::kTcp) segments.push_back(taken);
    }
    if (segments.size() > 16) segments.erase(segments.begin(), segments.end() - 16);
    return packet.protocol == Protocol::kTcp &&
           std::any_of(segments.begin(), segments.end(), [&](const Packet& taken) {
             return packet.source_port == taken.source_port &&
                    packet.tcp_sequence == taken.tcp_sequence;
           });
  }

  // Rule 3; true if an attempt advanced or was repeated.
  bool hold_against_attempts(const Packet& packet, Instant now) {
    bool taken = false;
    std::vector<Attempt> left;
    for (Attempt attempt : attempts_) {
      const Sequence& sequence = doors_[attempt.door].sequence;
      const Knock knock{packet.destination_port, packet.protocol};
      if (attempt.opened || !addressed(attempt.door, packet) || !flags_pass(attempt.door, packet) ||
          cooling(attempt.door, now)) {
        left.push_back(attempt);
      } else if (sequence[attempt.stage] == knock) {
        taken = true;
        left.push_back(advance(attempt, packet, now));
      } else if (sequence[attempt.stage - 1] == knock) {
        taken = true;
        attempt.taken.push_back(packet);
        left.push_back(attempt);
      } else {
        events_.push_back(event_of(EventKind::kWrong, attempt));
        came_by(packet);
      }
    }
    attempts_ = left;
    return taken;
  }

  // Rule 4; true if an attempt began.
  bool begin_attempts(const Packet& packet, Instant now) {
    bool began = false;
    for (DoorNumber door = 0; door < doors_.size(); ++door) {
      if (counts(door, packet) && !cooling(door, now) &&
          doors_[door].sequence.front() == Knock{packet.destination_port, packet.protocol}) {
        Attempt fresh{.door = door, .began = now};
        // Segments that opened this door before are still recognized.
        for (const Attempt& opened : attempts_) {
          if (opened.door == door) fresh.taken = opened.taken;
        }
        std::erase_if(attempts_, [&](const Attempt& attempt) { return attempt.door == door; });
        attempts_.push_back(advance(fresh, packet, now));
        began = true;
      }
    }
    return began;
  }

  // Rule 5.
  Attempt advance(Attempt attempt, const Packet& packet, Instant now) {
    attempt.taken.push_back(packet);
    ++attempt.stage;
    if (attempt.stage == doors_[attempt.door].sequence.size()) attempt.opened = now;
    events_.push_back(event_of(attempt.opened ? EventKind::kOpen : EventKind::kStage, attempt));
    came_by(packet);
    return attempt;
  }

  void count_scan(const Packet& packet) {
    if (options_.bounds.scan_limit == 0 || packet.protocol != Protocol::kTcp ||
        !is_connection_attempt(packet.tcp_flags) || !to_us(packet)) {
      return;
    }
    std::erase_if(attempts_, [&](Attempt& attempt) {
      if (attempt.opened) return false;
      const Sequence& sequence = doors_[attempt.door].sequence;
      const auto accepted_end = sequence.begin() + static_cast<ptrdiff_t>(attempt.stage);
      const Knock knock{packet.destination_port, Protocol::kTcp};
      if (std::find(sequence.begin(), accepted_end, knock) != accepted_end) return false;
      attempt.scanned.insert(packet.destination_port);
      if (attempt.scanned.size() <= options_.bounds.scan_limit) return false;
      events_.push_back(event_of(EventKind::kScan, attempt));
      came_by(packet);
      return true;
    });
  }

  // The cause of the last event.
  void came_by(const Packet& packet) {
    events_.back().interface_index = packet.interface_index;
    events_.back().destination = packet.destination;
    events_.back().came = {packet.destination_port, packet.protocol};
  }

  bool is_own(const IpAddress& address) const {
    return options_.any_destination ||
           std::find(own_addresses_.begin(), own_addresses_.end(), address) != own_addresses_.end();
  }
  bool addressed(DoorNumber door, const Packet& packet) const {
    const auto& target = doors_[door].target;
    return target ? *target == packet.destination : is_own(packet.destination);
  }
  bool to_us(const Packet& packet) const {
    if (is_own(packet.destination)) return true;
    for (const DoorRule& door : doors_) {
      if (door.target == packet.destination) return true;
    }
    return false;
  }
  bool flags_pass(DoorNumber door, const Packet& packet) const {
    return packet.protocol == Protocol::kUdp || doors_[door].flags.passes(packet.tcp_flags);
  }
  bool counts(DoorNumber door, const Packet& packet) const {
    const Sequence& sequence = doors_[door].sequence;
    return addressed(door, packet) && flags_pass(door, packet) &&
           std::find(sequence.begin(), sequence.end(),
                     Knock{packet.destination_port, packet.protocol}) != sequence.end();
  }
  bool counts_for_some_door(const Packet& packet) const {
    for (DoorNumber door = 0; door < doors_.size(); ++door) {
      if (counts(door, packet)) return true;
    }
    return false;
  }
  bool cooling(DoorNumber door, Instant now) const {
    for (const Opened& opened : opened_) {
      if (opened.door == door && opened.happening < at_ &&
          now - history_[opened.happening].time < doors_[door].seq_cooldown) {
        return true;
      }
    }
    return false;
  }

  KnockEvent event_of(EventKind kind, const Attempt& attempt) const {
    return {.kind = kind,
            .stage = static_cast<uint8_t>(attempt.stage),
            .door = attempt.door,
            .generation = generations_[attempt.door],
            .interface_index = 0,
            .source = source_};
  }

  const std::vector<DoorRule> initial_doors_;
  const TrackerOptions options_;
  std::vector<Happening> history_;
  std::vector<Opened> opened_;

  // Of the reading.
  IpAddress source_;
  size_t at_ = 0;
  std::vector<DoorRule> doors_;
  std::vector<uint32_t> generations_;
  std::vector<IpAddress> own_addresses_;
  std::vector<Attempt> attempts_;
  std::vector<KnockEvent> events_;
  std::vector<std::pair<Instant, KnockEvent>> timeouts_;
};

// ---- random doors and packets ----

class Recorder : public TrackerSink {
 public:
  void on_event(const KnockEvent& event) override {
    (event.kind == EventKind::kTimeout ? timeouts : events).push_back(event);
  }
  std::vector<KnockEvent> events;
  std::vector<KnockEvent> timeouts;
};

void sort(std::vector<KnockEvent>& events) {
  const auto key = [](const KnockEvent& event) {
    return std::tuple(event.source, event.door, event.generation, event.kind, event.stage);
  };
  std::sort(events.begin(), events.end(),
            [&](const KnockEvent& a, const KnockEvent& b) { return key(a) < key(b); });
}

IpAddress v4(uint8_t last) { return IpAddress::from_v4(std::array<uint8_t, 4>{192, 0, 2, last}); }

class RandomWorld {
 public:
  explicit RandomWorld(uint64_t seed) : random_(seed) {
    for (uint8_t i = 0; i < 3; ++i) destinations_.push_back(v4(static_cast<uint8_t>(1 + i)));
    for (uint8_t i = 0; i < 3; ++i) sources_.push_back(v4(static_cast<uint8_t>(101 + i)));
    IpAddress::Bytes bytes{0x20, 0x01, 0x0d, 0xb8};
    bytes[15] = 9;
    sources_.push_back(IpAddress(bytes));
    ports_ = 2 + pick(4);
    impatient_ = one_in(4);
    for (uint32_t i = 0, count = 1 + pick(6); i < count; ++i) doors_.push_back(make_door());
    options_.bounds.max_sources = 64;
    options_.bounds.scan_limit = one_in(4) ? 0 : 1 + pick(4);
    options_.any_destination = one_in(8);
    options_.hash_key = {random_(), random_()};
    scripts_.resize(sources_.size());
    sent_.resize(sources_.size());
  }

  const std::vector<DoorRule>& doors() const { return doors_; }
  const TrackerOptions& options() const { return options_; }
  const std::vector<IpAddress>& sources() const { return sources_; }

  Happening own_addresses() {
    Happening happening{.kind = Happening::Kind::kOwnAddresses, .time = now_};
    for (const IpAddress& address : destinations_) {
      if (!one_in(3)) happening.own_addresses.push_back(address);
    }
    return happening;
  }

  Happening next() {
    now_ += pass_time();
    if (one_in(100)) return own_addresses();
    if (one_in(100)) {
      const auto door = static_cast<DoorNumber>(pick(doors_.size()));
      Happening happening{.kind = Happening::Kind::kSequence, .time = now_, .door = door};
      if (!one_in(4)) happening.sequence = make_sequence();
      happening.generation = ++generation_;
      doors_[door].sequence = happening.sequence;
      return happening;
    }
    return {.kind = Happening::Kind::kPacket, .time = now_, .packet = make_packet()};
  }

  bool one_in(uint32_t n) { return pick(n) == 0; }

 private:
  uint32_t pick(size_t below) {
    // 32 bits, so that a seed gives the same world on every machine.
    return std::uniform_int_distribution(0u, static_cast<uint32_t>(below - 1))(random_);
  }

  Duration pass_time() {
    if (one_in(60)) return seconds(50 + pick(20));
    if (impatient_) return milliseconds(pick(50));
    if (one_in(10)) return seconds(pick(6));  // whole seconds hit the timeouts exactly
    return one_in(3) ? milliseconds(0) : milliseconds(pick(400));
  }

  Knock make_knock() {
    return {static_cast<uint16_t>(1 + pick(ports_)), one_in(4) ? Protocol::kUdp : Protocol::kTcp};
  }

  Sequence make_sequence() {
    Sequence sequence;
    // Doors that share their first knocks.
    if (!doors_.empty() && one_in(2)) {
      const Sequence& other = doors_[pick(doors_.size())].sequence;
      const auto shared = std::min<size_t>(other.size(), 1 + pick(2));
      sequence.assign(other.begin(), other.begin() + static_cast<ptrdiff_t>(shared));
    }
    const size_t length = std::max<size_t>(sequence.size(), 1 + pick(5));
    while (sequence.size() < length) sequence.push_back(make_knock());
    return sequence;
  }

  DoorRule make_door() {
    constexpr std::array<FlagMask, 4> kMasks = {
        {{kTcpSyn, 0}, {kTcpSyn, kTcpAck}, {kTcpAck, 0}, {0, kTcpRst}}};
    DoorRule door;
    door.sequence = make_sequence();
    if (one_in(2)) door.flags = kMasks[pick(kMasks.size())];
    door.seq_timeout = seconds(1 + pick(8));
    if (one_in(4)) door.seq_cooldown = seconds(1 + pick(5));
    if (one_in(4)) door.target = destinations_[pick(destinations_.size())];
    return door;
  }

  Packet make_packet() {
    const size_t who = impatient_ && !one_in(4) ? 0 : pick(sources_.size());
    std::vector<Packet>& sent = sent_[who];
    if (!sent.empty() && one_in(6)) {
      return sent[sent.size() - 1 - pick(std::min<size_t>(sent.size(), one_in(2) ? 3 : 20))];
    }
    Packet packet{.source = sources_[who],
                  .destination = destinations_[one_in(3) ? pick(destinations_.size()) : 0],
                  .source_port = static_cast<uint16_t>(40000 + pick(20000)),
                  .tcp_sequence = ++tcp_sequence_,
                  .length = 60,
                  .interface_index = pick(3)};
    const Knock knock = next_knock(who);
    packet.destination_port = knock.port;
    packet.protocol = knock.protocol;
    if (packet.protocol == Protocol::kTcp) {
      constexpr std::array<uint8_t, 5> kFlags = {kTcpAck, kTcpSyn | kTcpAck, kTcpRst,
                                                 kTcpFin | kTcpPsh, kTcpSyn | kTcpUrg};
      packet.tcp_flags = one_in(6) ? kFlags[pick(kFlags.size())] : kTcpSyn;
    } else {
      packet.tcp_sequence = 0;
    }
    sent.push_back(packet);
    return packet;
  }

  // Mostly the next packet of a knocker who knows a door's sequence.
  Knock next_knock(size_t who) {
    if (one_in(impatient_ ? 200 : 12)) return make_knock();
    if (one_in(impatient_ ? 50 : 6)) {
      return {static_cast<uint16_t>(20 + pick(8)), Protocol::kTcp};  // of no door
    }
    Sequence& script = scripts_[who];
    if (script.empty()) script = doors_[pick(doors_.size())].sequence;
    if (script.empty()) return make_knock();
    const Knock knock = script.front();
    if (impatient_ ? one_in(20) : !one_in(10)) script.erase(script.begin());
    return knock;
  }

  Random random_;
  Instant now_{seconds(1000)};
  uint32_t ports_ = 0;
  bool impatient_ =
      false;  // one source sends most packets, repeats its knocks often, and hardly waits
  uint32_t generation_ = 0;
  uint32_t tcp_sequence_ = 0;
  std::vector<IpAddress> destinations_;
  std::vector<IpAddress> sources_;
  std::vector<DoorRule> doors_;
  TrackerOptions options_;
  std::vector<Sequence> scripts_;          // per source: the packets it is about to send
  std::vector<std::vector<Packet>> sent_;  // by each source
};

// How often each compared event occurred.
struct Tally {
  size_t packets = 0;
  std::map<EventKind, size_t> events;
  void add(const std::vector<KnockEvent>& more) {
    for (const KnockEvent& event : more) ++events[event.kind];
  }
};

void hand_to(Tracker& tracker, const Happening& happening) {
  switch (happening.kind) {
    case Happening::Kind::kPacket:
      return tracker.handle(happening.packet, happening.time);
    case Happening::Kind::kOwnAddresses:
      return tracker.set_own_addresses(happening.own_addresses);
    case Happening::Kind::kSequence:
      return tracker.set_sequence(happening.door, happening.sequence, happening.generation);
  }
}

// A tracker that receives the packets of one instant as a batch.
class Together {
 public:
  explicit Together(const RandomWorld& world)
      : tracker_(world.doors(), world.options(), recorder_) {}
  void hand(const Happening& happening) {
    const bool is_packet = happening.kind == Happening::Kind::kPacket;
    if (!is_packet || happening.time != time_) flush();
    time_ = happening.time;
    if (is_packet) return packets_.push_back(happening.packet);
    hand_to(tracker_, happening);
  }
  const std::vector<KnockEvent>& events() {
    flush();
    return recorder_.events;
  }

 private:
  void flush() {
    tracker_.handle(packets_, time_);
    packets_.clear();
  }

  Recorder recorder_;
  Tracker tracker_;
  std::vector<Packet> packets_;
  Instant time_{};
};

// One world, until its end or a difference between tracker and oracle. With `prompt` the tracker
// gets the time before each event, as in the daemon's loop; without, only now and then.
void compare_in_one_world(uint64_t seed, bool prompt, int happenings, Tally& tally) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << (prompt ? ", prompt" : ""));
  RandomWorld world(seed);
  Recorder recorder;
  Tracker tracker(world.doors(), world.options(), recorder);
  Oracle oracle(world.doors(), world.options());
  Together together(world);
  std::vector<KnockEvent> all_events;
  std::vector<std::pair<Instant, KnockEvent>> told;  // timeouts, with the time of their report
  std::vector<Instant> turns;

  Happening happening = world.own_addresses();
  for (int i = 0; i < happenings; ++i, happening = world.next()) {
    SCOPED_TRACE(testing::Message() << "happening " << i);
    turns.push_back(happening.time);
    recorder.events.clear();
    recorder.timeouts.clear();
    if (prompt || happening.kind != Happening::Kind::kPacket || world.one_in(5)) {
      tracker.expire(happening.time);
    }
    hand_to(tracker, happening);
    together.hand(happening);
    all_events.insert(all_events.end(), recorder.events.begin(), recorder.events.end());
    std::vector<KnockEvent> expected = oracle.happens(happening);
    sort(expected);
    sort(recorder.events);
    ASSERT_EQ(recorder.events, expected);
    for (const KnockEvent& event : recorder.timeouts) told.emplace_back(happening.time, event);
    for (const IpAddress& source : world.sources()) {
      if (!prompt || i % 10 != 0) break;
      if (const auto deadline = oracle.first_deadline(source, happening.time)) {
        ASSERT_TRUE(tracker.next_expiry());
        ASSERT_LE(*tracker.next_expiry(), *deadline);
      }
    }
    tally.add(expected);
    if (happening.kind == Happening::Kind::kPacket) ++tally.packets;
  }

  EXPECT_EQ(together.events(), all_events);

  recorder.timeouts.clear();
  const Instant end = happening.time + kLinger;
  turns.push_back(end);
  tracker.expire(end);
  for (const KnockEvent& event : recorder.timeouts) told.emplace_back(end, event);
  EXPECT_EQ(tracker.sources(), 0u);
  EXPECT_EQ(tracker.next_expiry(), std::nullopt);

  // Every timeout is reported once, in order, and, if the tracker knows the time, when it is due.
  std::vector<std::pair<Instant, KnockEvent>> due;
  for (const IpAddress& source : world.sources()) {
    for (const auto& [deadline, event] : oracle.timeouts(source, end)) {
      const Instant turn = *std::lower_bound(turns.begin(), turns.end(), deadline);
      due.emplace_back(turn, event);
    }
  }
  const auto events_of = [](std::vector<std::pair<Instant, KnockEvent>> timeouts, bool with_time) {
    std::vector<std::tuple<Instant, IpAddress, DoorNumber, uint32_t, int>> keys;
    for (const auto& [time, event] : timeouts) {
      keys.emplace_back(with_time ? time : Instant{}, event.source, event.door, event.generation,
                        event.stage);
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  };
  EXPECT_EQ(events_of(told, prompt), events_of(due, prompt));
  tally.events[EventKind::kTimeout] += due.size();
}

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

Tally compare_in_worlds(uint64_t seed) {
  constexpr int kHappenings = 100;
  testing::Test::RecordProperty("seed", std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  const uint64_t packets = number_from_environment("KNOCKD_ORACLE_PACKETS", 100'000);
  Random seeds(seed);
  Tally tally;
  for (bool prompt = true; tally.packets < packets; prompt = !prompt) {
    compare_in_one_world(seeds(), prompt, kHappenings, tally);
    if (testing::Test::HasFailure()) break;
  }
  return tally;
}

TEST(TrackerOracle, AgreesOnAFixedSeed) {
  Tally tally = compare_in_worlds(1);
  // Checks that enough happened for the comparison to be useful. Only here, where the shares are
  // known.
  EXPECT_GT(tally.events[EventKind::kStage], tally.packets / 10);
  EXPECT_GT(tally.events[EventKind::kOpen], tally.packets / 20);
  EXPECT_GT(tally.events[EventKind::kTimeout], tally.packets / 100);
  EXPECT_GT(tally.events[EventKind::kScan], tally.packets / 1000);
  EXPECT_GT(tally.events[EventKind::kWrong], tally.packets / 1000);
}

TEST(TrackerOracle, AgreesOnARandomSeed) {
  compare_in_worlds(number_from_environment("KNOCKD_ORACLE_SEED", std::random_device{}()));
}

}  // namespace
}  // namespace knockd
