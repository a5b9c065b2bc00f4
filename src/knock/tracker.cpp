// SPDX-License-Identifier: MIT
#include "knockd/knock/tracker.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace knockd {
namespace {

// A source that opened a door is remembered this long, so that the system of a knocker whose last
// knock was dropped can repeat that segment without opening again: Linux gives up a connection
// attempt after six retransmissions, 63 s after the first (RFC 6298's doubling from 1 s).
constexpr Duration kRetransmissionLinger = std::chrono::seconds(64);

// Doors that share their first knock take a record each; room is made for so many of them.
constexpr size_t kMostSideBySide = 16;

// From so many sources on the table is larger than the caches, and speed counts for more than some
// megabytes.
constexpr uint32_t kWorthHugePages = 1 << 18;

constexpr uint32_t kFetchedTogether = 1024;

uint64_t knockable_key(uint32_t target, Protocol protocol, uint16_t port) {
  return uint64_t{target} << 24 | uint64_t{static_cast<uint8_t>(protocol)} << 16 | port;
}

void prefetch(const void* memory) { __builtin_prefetch(memory, 1); }

}  // namespace

struct Tracker::Link {
  RecordNumber older;
  RecordNumber newer;
};

// 48 bytes: with its older segments, the default four scan ports, its bucket and its entry a
// tracked source takes 124. A flood of first knocks does not touch the older segments.
struct Tracker::Record {
  IpAddress source;
  Link by_age;          // in the list of its expiry class
  Link by_stage;        // in the list of its stage
  uint32_t segment;     // fingerprint of the last one taken; 0: none yet
  uint32_t began_high;  // when the attempt began; if there is none, when it was over
  uint32_t began_low;
  DoorNumber door;
  uint8_t stage : 6;         // knocks accepted; 0: no attempt, remembered for retransmissions alone
  uint8_t has_siblings : 1;  // its source had other records beside it
  uint8_t has_older : 1;     // older segments were taken, too
  uint8_t scanned;           // scan ports in use

  Instant began() const {
    return Instant(Duration(static_cast<int64_t>(uint64_t{began_high} << 32 | began_low)));
  }
  void set_began(Instant when) {
    const auto count = static_cast<uint64_t>(when.time_since_epoch().count());
    began_high = static_cast<uint32_t>(count >> 32);
    began_low = static_cast<uint32_t>(count);
  }
};

uint64_t Tracker::MixAddress::operator()(const IpAddress& address) const {
  return (address.high_word() * 0x9e3779b97f4a7c15 ^ address.low_word()) * 0x9e3779b97f4a7c15;
}

uint64_t Tracker::MixPort::operator()(uint64_t port) const { return port * 0x9e3779b97f4a7c15; }

Tracker::Tracker(std::vector<DoorRule> doors, const TrackerOptions& options, TrackerSink& sink)
    : options_(options),
      sink_(sink),
      doors_(std::move(doors)),
      states_(doors_.size()),
      stages_(kMaxKnocks + 1) {
  linger_class_ = expiry_class_for(kRetransmissionLinger);
  LookupTable<IpAddress, uint32_t, MixAddress> numbers;
  for (size_t i = 0; i < doors_.size(); ++i) {
    states_[i].expiry_class = expiry_class_for(doors_[i].seq_timeout);
    if (!doors_[i].target) continue;
    uint32_t& number = numbers[*doors_[i].target];
    if (number == 0) number = ++targets_;
    states_[i].target = number;
  }
  index_doors();
  size_t side_by_side = 1;
  for (const auto& [port, knockable] : knockables_.entries()) {
    side_by_side = std::max(side_by_side, knockable.begins.size());
  }
  capacity_ = static_cast<uint32_t>(options_.max_sources * std::min(side_by_side, kMostSideBySide));
  const uint64_t places = uint64_t{capacity_} + 1;
  const Pages pages = options_.max_sources < kWorthHugePages ? Pages::kSmall : Pages::kHuge;
  records_ = zeroed_array<Record>(places, pages);
  older_segments_ = zeroed_array<OlderSegments>(places, Pages::kSmall);
  scan_ports_ = zeroed_array<uint16_t>(places * options_.scan_limit, pages);
  buckets_ = zeroed_array<Entry>(options_.max_sources, pages);
  behind_ = zeroed_array<Entry>(places, pages);
  number_mask_ = std::bit_ceil(capacity_ + 1) - 1;
  ahead_.fill({IpAddress(), spot_of(IpAddress())});
  set_own_addresses({});
}

Tracker::~Tracker() = default;

size_t Tracker::bytes_per_source() const {
  return sizeof(Record) + sizeof(OlderSegments) + options_.scan_limit * sizeof(uint16_t) +
         2 * sizeof(Entry);
}

// --- What the doors are at -------------------------------------------------------------------

void Tracker::set_own_addresses(const std::vector<IpAddress>& addresses) {
  places_.clear();
  for (size_t i = 0; i < doors_.size(); ++i) {
    if (doors_[i].target) places_[*doors_[i].target].target = states_[i].target;
  }
  for (const IpAddress& address : addresses) places_[address].own = true;
}

void Tracker::set_sequence(DoorNumber door, Sequence sequence, uint32_t generation) {
  for (size_t stage = 0; stage < stages_.size(); ++stage) {
    for (RecordNumber number = stages_[stage].oldest; number != 0;) {
      const RecordNumber next = record(number).by_stage.newer;
      if (stage > 0 && record(number).door == door) remove_record(number);
      number = next;
    }
  }
  doors_[door].sequence = std::move(sequence);
  states_[door].generation = generation;
  index_doors();
}

void Tracker::index_doors() {
  knockables_.clear();
  for (size_t i = 0; i < doors_.size(); ++i) {
    const DoorRule& door = doors_[i];
    if (door.sequence.empty()) continue;
    for (const Knock& knock : door.sequence) index_port(states_[i].target, knock, door.flags);
    const Knock& first = door.sequence.front();
    knockables_[knockable_key(states_[i].target, first.protocol, first.port)].begins.push_back(
        static_cast<DoorNumber>(i));
  }
}

void Tracker::index_port(uint32_t target, const Knock& knock, FlagMask mask) {
  auto& masks = knockables_[knockable_key(target, knock.protocol, knock.port)].masks;
  if (std::find(masks.begin(), masks.end(), mask) == masks.end()) masks.push_back(mask);
}

Tracker::Place Tracker::place_of(const IpAddress& destination) const {
  const Place* const found = places_.find(destination);
  Place place = found == nullptr ? Place{} : *found;
  place.own |= options_.any_destination;
  return place;
}

const Tracker::Knockable* Tracker::knockable(uint32_t target, const Packet& packet) const {
  return knockables_.find(knockable_key(target, packet.protocol, packet.destination_port));
}

bool Tracker::addressed(DoorNumber door, const Place& place) const {
  const uint32_t target = states_[door].target;
  return target == 0 ? place.own : target == place.target;
}

bool Tracker::flags_pass(DoorNumber door, const Packet& packet) const {
  return packet.protocol == Protocol::kUdp || doors_[door].flags.passes(packet.tcp_flags);
}

DoorNumber Tracker::cooled_as(DoorNumber door) const {
  return doors_[door].cools_with == kNoDoor ? door : doors_[door].cools_with;
}

bool Tracker::is_cooling(DoorNumber door, Instant now) const {
  const auto& until = states_[cooled_as(door)].cooling_until;
  return until && now < *until;
}

Tracker::Matches Tracker::matches_of(const Place& place, const Packet& packet) const {
  return {place.own ? knockable(0, packet) : nullptr,
          place.target != 0 ? knockable(place.target, packet) : nullptr};
}

// Whether the packet counts for some door.
bool Tracker::counts(const Matches& matches, const Packet& packet) {
  const auto passes = [&](const Knockable* knockable) {
    return knockable != nullptr &&
           (packet.protocol == Protocol::kUdp ||
            std::any_of(knockable->masks.begin(), knockable->masks.end(),
                        [&](const FlagMask& mask) { return mask.passes(packet.tcp_flags); }));
  };
  return passes(matches.own) || passes(matches.targeted);
}

// --- A packet ----------------------------------------------------------------------------------

void Tracker::handle(const Packet& packet, Instant now) {
  handle(packet, spot_of(packet.source), now);
}

// Memory takes as long to answer as some packets to be handled: each packet's is asked for in
// steps, so many packets ahead.
void Tracker::handle(std::span<const Packet> packets, Instant now) {
  constexpr size_t kApart = 4;
  std::array<Spot, 4 * kApart> spots;
  const auto spot = [&](size_t packet) -> Spot& { return spots[packet % spots.size()]; };
  for (size_t step = 0; step < packets.size() + 3 * kApart; ++step) {
    if (const size_t packet = step; packet < packets.size()) {
      spot(packet) = spot_of(packets[packet].source);
      prefetch(&buckets_[spot(packet).bucket]);
    }
    if (const size_t packet = step - kApart; packet < packets.size()) {
      prefetch(&behind_[number_of(buckets_[spot(packet).bucket])]);
    }
    if (const size_t packet = step - 2 * kApart; packet < packets.size()) {
      const RecordNumber likely = likely_record(spot(packet));
      prefetch_record(likely);
      prefetch(&older_segments_[likely]);
    }
    if (const size_t packet = step - 3 * kApart; packet < packets.size()) {
      handle(packets[packet], spot(packet), now);
    }
  }
}

void Tracker::handle(const Packet& packet, const Spot& spot, Instant now) {
  if (next_expiry_ && now >= *next_expiry_) expire(now);  // rule 1

  const Place place = place_of(packet.destination);
  if (!place.own && place.target == 0) return explain(packet, Verdict::kNotAddressed);
  const Matches matches = matches_of(place, packet);
  // Nothing is known of most sources, least of all in a flood: their bucket is read once.
  const bool known = first_of(packet.source, spot) != 0;
  if (!counts(matches, packet)) {
    if (!known || !count_against_scan(packet, spot)) {
      const bool has_port = matches.own != nullptr || matches.targeted != nullptr;
      explain(packet, has_port ? Verdict::kFlagsRefused : Verdict::kPortOfNoDoor);
    }
    return;
  }
  const uint32_t fingerprint = fingerprint_of(packet);
  if (known && is_retransmission(packet, spot, fingerprint)) {  // rule 2
    return explain(packet, Verdict::kRetransmission);
  }
  const bool taken =
      (known && hold_against_attempts(packet, place, spot, fingerprint, now)) ||  // 3 and 5
      begin_attempts(packet, matches, spot, known, fingerprint, now);             // 4 and 5
  if (known && !taken) count_against_scan(packet, spot);
}

// A packet that no attempt took. Whether it is a connection attempt at a port that some attempt of
// its source has not accepted as a knock; too many of those end the attempt.
bool Tracker::count_against_scan(const Packet& packet, const Spot& spot) {
  if (options_.scan_limit == 0 || packet.protocol != Protocol::kTcp ||
      !is_connection_attempt(packet.tcp_flags)) {
    return false;
  }
  bool counted = false;
  for (RecordNumber number = first_of(packet.source, spot); number != 0;) {
    const RecordNumber here = number;
    const Record& attempt = record(number);
    number = next_of(number, spot);
    if (attempt.stage == 0) continue;
    if (has_accepted(attempt, {packet.destination_port, Protocol::kTcp})) continue;
    counted = true;
    explain(packet, Verdict::kScanCounted, attempt.door, attempt.stage);
    if (add_scan_port(here, packet.destination_port)) continue;
    tell(EventKind::kScan, attempt, &packet);
    remove_record(here);
  }
  return counted;
}

bool Tracker::has_accepted(const Record& attempt, const Knock& knock) const {
  const auto first = doors_[attempt.door].sequence.begin();
  const auto expected = first + attempt.stage;
  return std::find(first, expected, knock) != expected;
}

// Whether it fits: a port that does not is one more than the limit.
bool Tracker::add_scan_port(RecordNumber number, uint16_t port) {
  Record& attempt = record(number);
  uint16_t* const ports = scan_ports_.get() + size_t{number} * options_.scan_limit;
  uint16_t* const end = ports + attempt.scanned;
  if (std::find(ports, end, port) != end) return true;
  if (attempt.scanned == options_.scan_limit) return false;
  *end = port;
  ++attempt.scanned;
  return true;
}

bool Tracker::is_retransmission(const Packet& packet, const Spot& spot,
                                uint32_t fingerprint) const {
  if (packet.protocol != Protocol::kTcp) return false;
  for (RecordNumber number = first_of(packet.source, spot); number != 0;
       number = next_of(number, spot)) {
    if (record(number).segment == fingerprint) return true;
    if (!record(number).has_older) continue;
    const OlderSegments& older = older_segments_[number];
    if (std::find(older.begin(), older.end(), fingerprint) != older.end()) return true;
  }
  return false;
}

// The attempt accepted this segment or took it for a repeat: it will be known again.
void Tracker::remember_segment(RecordNumber number, uint32_t fingerprint) {
  if (fingerprint == 0) return;
  Record& attempt = record(number);
  if (attempt.segment != 0) {
    OlderSegments& older = older_segments_[number];
    if (!attempt.has_older) older.fill(0);
    attempt.has_older = true;
    std::move_backward(older.begin(), older.end() - 1, older.end());
    older.front() = attempt.segment;
  }
  attempt.segment = fingerprint;
}

// Whether an attempt of this source advanced or was repeated.
bool Tracker::hold_against_attempts(const Packet& packet, const Place& place, const Spot& spot,
                                    uint32_t fingerprint, Instant now) {
  const Knock knock{packet.destination_port, packet.protocol};
  bool taken = false;
  for (RecordNumber number = first_of(packet.source, spot); number != 0;) {
    const Record& attempt = record(number);
    const RecordNumber here = number;
    number = next_of(number, spot);
    if (attempt.stage == 0) continue;
    if (!addressed(attempt.door, place)) continue;
    if (!flags_pass(attempt.door, packet)) {
      explain(packet, Verdict::kFlagsRefused, attempt.door, attempt.stage);
    } else if (is_cooling(attempt.door, now)) {
      explain(packet, Verdict::kCoolingDown, attempt.door, attempt.stage);
    } else if (const Sequence& sequence = doors_[attempt.door].sequence;
               sequence[attempt.stage] == knock) {
      taken = true;
      accept(here, packet, fingerprint, now);
    } else if (sequence[attempt.stage - 1u] == knock) {
      taken = true;
      remember_segment(here, fingerprint);
      explain(packet, Verdict::kRepeated, attempt.door, attempt.stage);
    } else {
      explain(packet, Verdict::kWrongKnock, attempt.door, attempt.stage);
      remove_record(here);
    }
  }
  return taken;
}

// Whether there is one that began.
bool Tracker::begin_attempts(const Packet& packet, const Matches& matches, const Spot& spot,
                             bool known, uint32_t fingerprint, Instant now) {
  bool began = false;
  bool cooling = false;
  const auto begin_at = [&](const Knockable* doors) {
    if (doors == nullptr) return;
    for (const DoorNumber door : doors->begins) {
      if (!flags_pass(door, packet)) continue;
      if (is_cooling(door, now)) {
        explain(packet, Verdict::kCoolingDown, door);
        cooling = true;
      } else {
        accept(add_record(packet.source, spot, known || began, door, now), packet, fingerprint,
               now);
        began = true;
      }
    }
  };
  begin_at(matches.own);
  begin_at(matches.targeted);
  if (!began && !cooling) explain(packet, Verdict::kFirstOfNone);
  return began;
}

// The attempt's expected knock has come.
void Tracker::accept(RecordNumber number, const Packet& packet, uint32_t fingerprint, Instant now) {
  Record& attempt = record(number);
  unlink(stages_[attempt.stage], number, records_.get(), &Record::by_stage);
  ++attempt.stage;
  remember_segment(number, fingerprint);
  explain(packet, Verdict::kAccepted, attempt.door, attempt.stage);
  const bool last = attempt.stage == doors_[attempt.door].sequence.size();
  tell(last ? EventKind::kOpen : EventKind::kStage, attempt, &packet);
  if (last) {
    if (doors_[attempt.door].seq_cooldown > Duration::zero()) {
      states_[cooled_as(attempt.door)].cooling_until = now + doors_[attempt.door].seq_cooldown;
    }
    unlink(expiry_classes_[expiry_class_of(attempt)].records, number, records_.get(),
           &Record::by_age);
    attempt.stage = 0;
    attempt.set_began(now);
    join_expiry_class(number, linger_class_);
  }
  append(stages_[attempt.stage], number, records_.get(), &Record::by_stage);
}

// --- Age ---------------------------------------------------------------------------------------

void Tracker::expire(Instant now) {
  next_expiry_.reset();
  for (size_t i = 0; i < expiry_classes_.size(); ++i) {
    const Duration age = expiry_classes_[i].age;
    while (const RecordNumber number = expiry_classes_[i].records.oldest) {
      const Record& oldest = record(number);
      const Instant due = oldest.began() + age;
      if (now < due) {
        if (!next_expiry_ || due < *next_expiry_) next_expiry_ = due;
        break;
      }
      if (oldest.stage > 0) tell(EventKind::kTimeout, oldest, nullptr);
      remove_record(number);
      look_ahead(expiry_classes_[i].records, &Record::by_age);
    }
  }
}

std::optional<Instant> Tracker::next_expiry() const { return next_expiry_; }

uint16_t Tracker::expiry_class_for(Duration age) {
  for (size_t i = 0; i < expiry_classes_.size(); ++i) {
    if (expiry_classes_[i].age == age) return static_cast<uint16_t>(i);
  }
  expiry_classes_.push_back({age, {}});
  return static_cast<uint16_t>(expiry_classes_.size() - 1);
}

uint16_t Tracker::expiry_class_of(const Record& record) const {
  return record.stage == 0 ? linger_class_ : states_[record.door].expiry_class;
}

void Tracker::join_expiry_class(RecordNumber number, uint16_t expiry_class) {
  ExpiryClass& joined = expiry_classes_[expiry_class];
  append(joined.records, number, records_.get(), &Record::by_age);
  const Instant due = record(number).began() + joined.age;
  if (!next_expiry_ || due < *next_expiry_) next_expiry_ = due;
}

// --- Memory ------------------------------------------------------------------------------------

Tracker::Record& Tracker::record(RecordNumber number) const { return records_[number]; }

Tracker::Spot Tracker::spot_of(const IpAddress& source) const {
  const uint64_t hash = keyed_hash(options_.hash_key, source.bytes());
  // The upper half of hash times count: one bucket a source, without a division.
  return {static_cast<uint32_t>((hash >> 32) * options_.max_sources >> 32),
          static_cast<uint32_t>(hash) & ~number_mask_};
}

// The same for a record, which may have been looked at ahead.
Tracker::Spot Tracker::spot_of(RecordNumber number) const {
  const IpAddress& source = record(number).source;
  const Ahead& ahead = ahead_[number % ahead_.size()];
  return ahead.source == source ? ahead.spot : spot_of(source);
}

// The record at the head of the chain or behind it that bears the mark; 0 if neither does. Without
// a branch: which of them it is nobody can foretell.
Tracker::RecordNumber Tracker::likely_record(const Spot& spot) const {
  const Entry first = buckets_[spot.bucket];
  const Entry second = behind_[number_of(first)];
  prefetch(&behind_[number_of(second)]);
  const auto if_marked = [&](Entry entry) {
    return number_of(entry) & (RecordNumber{(entry & ~number_mask_) != spot.mark} - 1);
  };
  const RecordNumber head = if_marked(first);
  return head | (if_marked(second) & (RecordNumber{head != 0} - 1));
}

Tracker::RecordNumber Tracker::first_of(const IpAddress& source, const Spot& spot) const {
  return find_from(buckets_[spot.bucket], source, spot);
}

Tracker::RecordNumber Tracker::next_of(RecordNumber number, const Spot& spot) const {
  if (!record(number).has_siblings) return 0;
  return find_from(behind_[number], record(number).source, spot);
}

Tracker::RecordNumber Tracker::find_from(Entry entry, const IpAddress& source,
                                         const Spot& spot) const {
  for (; entry != 0; entry = behind_[number_of(entry)]) {
    const RecordNumber number = number_of(entry);
    if ((entry & ~number_mask_) == spot.mark && record(number).source == source) return number;
  }
  return 0;
}

// Tells a segment from others of its source: different for different ports, if the sequence number
// is the same. Never 0 for tcp; 0 for udp, which knows no retransmissions. Not keyed: a knocker
// could only mislead himself.
uint32_t Tracker::fingerprint_of(const Packet& packet) {
  if (packet.protocol != Protocol::kTcp) return 0;
  const uint32_t ports = uint32_t{packet.source_port} << 16 | packet.destination_port;
  return std::max(packet.tcp_sequence + ports * 0x9e3779b1u, 1u);
}

// A record of stage 0 that begins now. What was left of the source at this door makes way, but its
// segments are known on. `known` says whether the source may have records.
Tracker::RecordNumber Tracker::add_record(const IpAddress& source, const Spot& spot, bool known,
                                          DoorNumber door, Instant now) {
  RecordNumber left = 0;
  for (RecordNumber number = known ? first_of(source, spot) : 0; number != 0;) {
    const RecordNumber here = number;
    number = next_of(number, spot);
    if (record(here).door != door) continue;
    remove_record(here);
    left = here;  // the first to be used again
  }
  known = known && first_of(source, spot) != 0;
  while ((!known && sources_ >= options_.max_sources) || (free_ == 0 && never_used_ > capacity_)) {
    make_room();
    known = known && first_of(source, spot) != 0;
  }
  RecordNumber number = free_;
  if (number != 0) {
    free_ = behind_[number];
  } else {
    if (never_used_ % kFetchedTogether == 0) fetch_memory();
    number = never_used_++;
  }
  Record& fresh = record(number);
  fresh.source = source;
  fresh.door = door;
  fresh.stage = 0;
  fresh.scanned = 0;
  if (number != left) {
    fresh.segment = 0;
    fresh.has_older = false;
  }
  fresh.set_began(now);
  fresh.has_siblings = known;
  for (RecordNumber other = known ? first_of(source, spot) : 0; other != 0;
       other = next_of(other, spot)) {
    record(other).has_siblings = true;
  }
  // At the end: doors that share their knocks go on in the configuration's order, and what is
  // forgotten first stands first.
  Entry* end = &buckets_[spot.bucket];
  while (*end != 0) end = &behind_[number_of(*end)];
  *end = spot.mark | number;
  behind_[number] = 0;
  if (!known) ++sources_;
  join_expiry_class(number, states_[door].expiry_class);
  append(stages_[0], number, records_.get(), &Record::by_stage);
  return number;
}

// A few sources take the few pages that they touch. With more of them it is a flood, and the pages
// come faster in one go.
void Tracker::fetch_memory() {
  const size_t count = std::min(kFetchedTogether, capacity_ + 1 - never_used_);
  fetch_zeroes(&records_[never_used_], count * sizeof(Record));
  fetch_zeroes(&behind_[never_used_], count * sizeof(Entry));
  if (never_used_ == kFetchedTogether && options_.max_sources < kWorthHugePages) {
    fetch_zeroes(buckets_.get(), options_.max_sources * sizeof(Entry));
  }
}

void Tracker::remove_record(RecordNumber number) {
  const Record& old = record(number);
  const Spot spot = spot_of(number);
  Entry* entry = &buckets_[spot.bucket];
  while (number_of(*entry) != number) entry = &behind_[number_of(*entry)];
  *entry = behind_[number];
  if (!old.has_siblings || first_of(old.source, spot) == 0) --sources_;
  unlink(expiry_classes_[expiry_class_of(old)].records, number, records_.get(), &Record::by_age);
  unlink(stages_[old.stage], number, records_.get(), &Record::by_stage);
  behind_[number] = free_;
  free_ = number;
}

// Forgets the record that is least worth keeping: one without an attempt, else the oldest of the
// least advanced. A source goes with the last of its records, that of its best attempt.
void Tracker::make_room() {
  for (const List& stage : stages_) {
    if (stage.oldest == 0) continue;
    remove_record(stage.oldest);
    return look_ahead(stage, &Record::by_stage);
  }
}

// Fetches the memory that forgetting the next of a list will need, a step further each time: when a
// flood fills the table, one is forgotten for each that comes. Records may since have changed their
// lists: then what is fetched is of no use, but does no harm.
void Tracker::look_ahead(const List& list, Link Record::*link) {
  RecordNumber before = farthest_;  // asked for a step ago, so here by now
  farthest_ = (record(before).*link).newer;
  if (ahead_in_ != &list || farthest_ == 0) {
    ahead_in_ = &list;
    farthest_ = list.oldest;
    for (size_t i = 1; i < ahead_.size(); ++i) {
      before = farthest_;
      farthest_ = (record(before).*link).newer;
    }
  }
  prefetch_record(farthest_);
  const IpAddress& source = record(before).source;
  const Spot spot = spot_of(source);
  ahead_[before % ahead_.size()] = {source, spot};
  prefetch(&buckets_[spot.bucket]);
}

void Tracker::prefetch_record(RecordNumber number) const {
  const auto* first = reinterpret_cast<const uint8_t*>(&record(number));
  prefetch(first);
  prefetch(first + sizeof(Record) - 1);
}

void Tracker::append(List& list, RecordNumber number, Record* records, Link Record::*link) {
  records[number].*link = {list.newest, 0};
  if (list.newest != 0) {
    (records[list.newest].*link).newer = number;
  } else {
    list.oldest = number;
  }
  list.newest = number;
}

void Tracker::unlink(List& list, RecordNumber number, Record* records, Link Record::*link) {
  const Link old = records[number].*link;
  (old.older != 0 ? (records[old.older].*link).newer : list.oldest) = old.newer;
  (old.newer != 0 ? (records[old.newer].*link).older : list.newest) = old.older;
}

// --- Telling -----------------------------------------------------------------------------------

void Tracker::tell(EventKind kind, const Record& record, const Packet* cause) {
  KnockEvent event{.kind = kind,
                   .stage = record.stage,
                   .door = record.door,
                   .generation = states_[record.door].generation,
                   .source = record.source};
  if (cause != nullptr) {
    event.interface_index = cause->interface_index;
    event.destination = cause->destination;
  }
  sink_.on_event(event);
}

void Tracker::explain(const Packet& packet, Verdict verdict, DoorNumber door, uint8_t stage) {
  if (options_.explain) sink_.on_explanation({packet, verdict, door, stage});
}

}  // namespace knockd
