// SPDX-License-Identifier: MIT
#include "knockd/knock/tracker.h"

#include <algorithm>
#include <array>
#include <utility>

namespace knockd {
namespace {

// A source that opened a door is remembered this long, so that retransmissions of its last knock,
// which a firewall drops, do not open again: Linux gives up a connection attempt after six
// retransmissions, 63 s after the first (RFC 6298's doubling from 1 s).
constexpr Duration kRetransmissionLinger = std::chrono::seconds(64);

// Doors that share their first knock need an entry each. The table has room for this many of them,
// and for all of one source.
constexpr size_t kMostSideBySide = 16;

// Even with 2.5 million guessing sources in a step, collisions seldom reach the limit.
constexpr size_t kGuessPlaces = 1 << 18;

SourceTable::Limits limits(const TrackerOptions& options, const DoorIndex& doors) {
  const size_t side_by_side = std::clamp<size_t>(doors.most_side_by_side(), 1, kMostSideBySide);
  return {.sources = options.bounds.max_sources,
          .entries = static_cast<uint32_t>(
              std::max<size_t>(options.bounds.max_sources * side_by_side, doors.size())),
          .scan_ports = options.bounds.scan_limit,
          .codes = doors.has_codes()};
}

// Distinguishes a tcp segment from others of its source: with the same sequence number, different
// ports give different marks. Not keyed: a knocker could only mislead himself.
uint32_t mark_of(const Packet& packet) {
  const uint32_t ports = uint32_t{packet.source_port} << 16 | packet.destination_port;
  return packet.tcp_sequence + ports * 0x9e3779b1u;
}

}  // namespace

Tracker::Tracker(std::vector<DoorRule> doors, const TrackerOptions& options, TrackerSink& sink)
    : options_(options),
      sink_(sink),
      doors_(std::move(doors), options.any_destination),
      states_(doors_.size()),
      sources_(limits(options, doors_), options.hash_key),
      guesses_(doors_.has_typed_codes() ? kGuessPlaces : 0),
      linger_(sources_.add_lifetime(kRetransmissionLinger)) {
  for (size_t i = 0; i < states_.size(); ++i) {
    states_[i].seq_timeout = sources_.add_lifetime(doors_[static_cast<DoorNumber>(i)].seq_timeout);
  }
}

void Tracker::set_own_addresses(const std::vector<IpAddress>& addresses) {
  doors_.set_own_addresses(addresses);
}

void Tracker::set_sequence(DoorNumber door, Sequence sequence, uint32_t generation) {
  sources_.remove_attempts_at(door, [](Number) { return false; });
  doors_.set_sequence(door, std::move(sequence));
  states_[door].generation = generation;
}

void Tracker::set_codes(std::vector<DoorCodes> codes) {
  for (const DoorCodes& fresh : codes) {
    const DoorRule& door = doors_[fresh.door];
    sources_.remove_attempts_at(fresh.door, [&](Number attempt) {
      const size_t places = door.places.before(sources_[attempt].stage);
      if (places == 0) return true;
      const auto code = find_code(fresh.codes, door.codes[sources_.code_of(attempt)], places);
      if (code) sources_.set_code(attempt, *code);
      return code.has_value();
    });
    states_[fresh.door].generation = fresh.generation;
  }
  doors_.set_codes(std::move(codes));
  std::ranges::fill(guesses_, uint8_t{0});
}

// With many sources memory is slow: without these prefetch rounds a packet of a flood takes ten
// times as long with a million sources as with a thousand.
void Tracker::handle(std::span<const Packet> packets, Instant now) {
  std::array<SourceTable::Place, 64> places;
  while (!packets.empty()) {
    const auto some = packets.first(std::min(packets.size(), places.size()));
    for (size_t i = 0; i < some.size(); ++i) {
      places[i] = sources_.place_of(some[i].source);
      sources_.fetch_bucket(places[i]);
    }
    for (size_t i = 0; i < some.size(); ++i) sources_.fetch_entry(places[i]);
    for (size_t i = 0; i < some.size(); ++i) handle(some[i], places[i], now);
    packets = packets.subspan(some.size());
  }
}

void Tracker::handle(const Packet& packet, const SourceTable::Place& place, Instant now) {
  if (next_expiry() && now >= *next_expiry()) expire(now);  // rule 1

  const DoorMatch match = doors_.match(packet);
  if (!match.addressed) return explain(packet, Verdict::kNotAddressed);
  const Number first = sources_.first_of(place);
  if (match.counts) {
    if (is_retransmission(packet, first)) {  // rule 2
      return explain(packet, Verdict::kRetransmission);
    }
    if (compare_with_attempts(packet, match, first, now)) return;  // rules 3 and 5
    if (begin_attempts(packet, match, place, now)) return;         // rules 4 and 5
  }
  if (count_against_scan(packet, place) || match.counts) return;
  explain(packet, match.has_port ? Verdict::kFlagsRefused : Verdict::kPortOfNoDoor);
}

// --- The rules ---------------------------------------------------------------------------------

void Tracker::expire(Instant now) {
  sources_.expire(now, [this](const Entry& entry) {
    if (entry.stage > 0) tell(EventKind::kTimeout, entry, nullptr);
  });
}

bool Tracker::is_retransmission(const Packet& packet, Number first) const {
  if (packet.protocol != Protocol::kTcp) return false;
  const uint32_t mark = mark_of(packet);
  for (Number number = first; number != 0; number = sources_.next_of(number)) {
    if (sources_.knows_segment(number, mark)) return true;
  }
  return false;
}

// Returns whether an attempt of this source advanced or was repeated.
bool Tracker::compare_with_attempts(const Packet& packet, const DoorMatch& match, Number first,
                                    Instant now) {
  const Knock knock{packet.destination_port, packet.protocol};
  bool taken = false;
  for (Number number = first, next = 0; number != 0; number = next) {
    next = sources_.next_of(number);
    const Entry& attempt = sources_[number];
    const DoorRule& rule = doors_[attempt.door];
    const uint16_t code = sources_.code_of(number);
    const bool addressed = rule.target ? *rule.target == packet.destination : match.own;
    if (attempt.stage == 0 || !addressed) continue;
    if (!flags_pass(rule.flags, packet)) {
      explain(packet, Verdict::kFlagsRefused, attempt.door, attempt.stage);
    } else if (is_cooling(attempt.door, now)) {
      explain(packet, Verdict::kCoolingDown, attempt.door, attempt.stage);
    } else if (const auto next_code = rule.code_with(attempt.stage, knock, code)) {
      taken = true;
      accept(number, packet, *next_code, now);
    } else if (rule.knock_at(attempt.stage - 1u, code) == knock) {
      taken = true;
      remember_segment(number, packet);
      explain(packet, Verdict::kRepeated, attempt.door, attempt.stage);
    } else {
      explain(packet, Verdict::kWrongKnock, attempt.door, attempt.stage);
      const bool is_guess = rule.is_typed(knock);
      if (is_guess && guesses_of(attempt) < kMostGuesses) ++guesses_of(attempt);
      tell(is_guess ? EventKind::kWrongCode : EventKind::kWrong, attempt, &packet);
      sources_.remove(number);
    }
  }
  return taken;
}

// Returns whether an attempt began.
bool Tracker::begin_attempts(const Packet& packet, const DoorMatch& match,
                             const SourceTable::Place& place, Instant now) {
  bool began = false;
  bool cooling = false;
  for (const std::span<const DoorNumber> doors : match.begins) {
    for (const DoorNumber door : doors) {
      if (!flags_pass(doors_[door].flags, packet)) continue;
      if (is_cooling(door, now)) {
        explain(packet, Verdict::kCoolingDown, door);
        cooling = true;
      } else {
        const Knock knock{packet.destination_port, packet.protocol};
        accept(sources_.begin(place, door, states_[door].seq_timeout, now), packet,
               *doors_[door].code_with(0, knock, 0), now);
        began = true;
      }
    }
  }
  if (!began && !cooling) explain(packet, Verdict::kFirstOfNone);
  return began;
}

// Handles the attempt's expected knock.
void Tracker::accept(Number number, const Packet& packet, uint16_t code, Instant now) {
  sources_.advance(number);
  sources_.set_code(number, code);
  remember_segment(number, packet);
  const Entry& attempt = sources_[number];
  explain(packet, Verdict::kAccepted, attempt.door, attempt.stage);
  const DoorRule& door = doors_[attempt.door];
  if (attempt.stage < door.sequence.size()) return tell(EventKind::kStage, attempt, &packet);
  KnockEvent open = event_of(EventKind::kOpen, attempt, &packet);
  if (!door.places.empty()) {
    open.code = door.codes[code].tag;
    open.took = now - attempt.since;
    open.guesses = door.places.typed && guesses_of(attempt) == kMostGuesses ? 1 : 0;
  }
  sink_.on_event(open);
  // The tracker cannot know whether the code was already used.
  const Duration cooldown = door.places.empty() ? door.seq_cooldown : Duration::zero();
  if (cooldown > Duration::zero()) cooling_until(attempt.door) = now + cooldown;
  sources_.end(number, linger_, now);
}

uint8_t& Tracker::guesses_of(const Entry& attempt) {
  const uint64_t hash = keyed_hash(options_.hash_key, attempt.place.source.bytes());
  return guesses_[(hash + attempt.door) % guesses_.size()];
}

void Tracker::remember_segment(Number number, const Packet& packet) {
  if (packet.protocol == Protocol::kTcp) sources_.add_segment(number, mark_of(packet));
}

std::optional<Instant>& Tracker::cooling_until(DoorNumber door) {
  const DoorNumber with = doors_[door].cools_with;
  return states_[with == kNoDoor ? door : with].cooling_until;
}

bool Tracker::is_cooling(DoorNumber door, Instant now) {
  const auto& until = cooling_until(door);
  return until && now < *until;
}

// --- The scan guard ----------------------------------------------------------------------------

// For a packet that no attempt accepted. Counts a connection attempt at a port against each attempt
// of its source that has not accepted that port as a knock; too many of those end the attempt.
// Returns whether it was counted.
bool Tracker::count_against_scan(const Packet& packet, const SourceTable::Place& place) {
  if (options_.bounds.scan_limit == 0 || packet.protocol != Protocol::kTcp ||
      !is_connection_attempt(packet.tcp_flags)) {
    return false;
  }
  bool counted = false;
  for (Number number = sources_.first_of(place), next = 0; number != 0; number = next) {
    next = sources_.next_of(number);
    const Entry& attempt = sources_[number];
    if (attempt.stage == 0 || has_accepted(number, {packet.destination_port, Protocol::kTcp})) {
      continue;
    }
    counted = true;
    explain(packet, Verdict::kScanCounted, attempt.door, attempt.stage);
    if (sources_.add_scan_port(number, packet.destination_port)) continue;
    tell(EventKind::kScan, attempt, &packet);
    sources_.remove(number);
  }
  return counted;
}

bool Tracker::has_accepted(Number number, const Knock& knock) const {
  const Entry& attempt = sources_[number];
  const DoorRule& door = doors_[attempt.door];
  for (size_t place = 0; place < attempt.stage; ++place) {
    if (door.knock_at(place, sources_.code_of(number)) == knock) return true;
  }
  return false;
}

// --- Events ------------------------------------------------------------------------------------

KnockEvent Tracker::event_of(EventKind kind, const Entry& attempt, const Packet* cause) const {
  KnockEvent event{.kind = kind,
                   .stage = attempt.stage,
                   .door = attempt.door,
                   .generation = states_[attempt.door].generation,
                   .source = attempt.place.source};
  if (cause != nullptr) {
    event.interface_index = cause->interface_index;
    event.destination = cause->destination;
    event.came = {cause->destination_port, cause->protocol};
  }
  return event;
}

void Tracker::tell(EventKind kind, const Entry& attempt, const Packet* cause) {
  sink_.on_event(event_of(kind, attempt, cause));
}

void Tracker::explain(const Packet& packet, Verdict verdict, DoorNumber door, uint8_t stage) {
  if (options_.explain) sink_.on_explanation({packet, verdict, door, stage});
}

}  // namespace knockd
