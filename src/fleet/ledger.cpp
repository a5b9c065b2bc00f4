// SPDX-License-Identifier: MIT
#include "knockd/fleet/ledger.h"

#include <algorithm>
#include <chrono>

#include "knockd/base/text.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Ends that differ by less are one: it takes a moment to say them.
constexpr Duration kSlack = milliseconds(20);
// Ends of one opening, as told before and after a restart.
constexpr Duration kSameOpening = seconds(1);
// What the broker says is left is in whole seconds, rounded down.
constexpr Duration kExpiryUnit = seconds(1);
constexpr Duration kBetweenComplaints = seconds(60);
// Steps of codes that are believed.
constexpr Step kStepsAhead = 2;
constexpr Step kStepsBehind = 10;
constexpr Duration kBetweenForgetting = seconds(1);
// Ids of ours that others name are believed so far: enough are left up to 2^53, the last that is
// read.
constexpr uint64_t kLastLearntId = (uint64_t{1} << 53) - (uint64_t{1} << 50);

bool is_near(WallTime one, WallTime other) {
  return one - other < kSameOpening && other - one < kSameOpening;
}

// Never beyond what a clock that was never set, or a hostile message, can say.
Instant end_of(WallTime until, const Clocks& now) {
  return now.boot + std::clamp<Duration>(until - now.wall, Duration::zero(), kLongestTime);
}

uint32_t expiry_of(WallTime until, const Clocks& now) {
  const auto left = std::chrono::ceil<seconds>(std::min<Duration>(until - now.wall, kLongestTime));
  return static_cast<uint32_t>(std::max<int64_t>(left.count(), 1));
}

}  // namespace

// --- The daemon ----------------------------------------------------------------------------------

void Ledger::daemon_is(const DaemonStatus& status, const Clocks& now) {
  daemon_lost();
  has_daemon_ = true;
  facts_ = status.doors;
  warn_of_doors();
  // What the one before may not have got to.
  for (auto& [at, place] : places_) {
    if (place.closer.empty()) place.closer = std::exchange(place.closing, "");
  }
  for (const LocalOpening& opening : status.openings) add_here(opening, now);
  for (const auto& [key, seen] : codes_there_) act(FleetUsed{key.first, seen.code, seen.gateway});
  settle_all(now);
}

void Ledger::daemon_lost() {
  has_daemon_ = false;
  for (auto at = places_.begin(); at != places_.end();) {
    const auto current = at++;
    Place& place = current->second;
    place.here.clear();
    place.asked = {};
    if (place.own) place.own->opening = 0;
    schedule(current);
  }
}

void Ledger::add_here(const LocalOpening& opening, const Clocks& now) {
  if (!doors_.contains(opening.place.door)) return;
  const Instant end = end_of(opening.until, now);
  places_[opening.place].here[opening.id] = {opening.until, end, end, opening.user,
                                             opening.by_fleet};
}

void Ledger::opened(const LocalOpening& opening, const Clocks& now) {
  if (!doors_.contains(opening.place.door)) return;
  const auto at = places_.try_emplace(opening.place).first;
  // One of here that the fleet lengthens keeps the end that is ours to tell.
  const auto known = at->second.here.find(opening.id);
  if (known != at->second.here.end() && opening.by_fleet && !known->second.by_fleet) {
    known->second.end = end_of(opening.until, now);
  } else {
    add_here(opening, now);
  }
  if (is_ready()) share(at, now);
  schedule(at);
}

void Ledger::closed(const DoorAddress& at_place, uint64_t id, ClosedBy by, const Clocks& now) {
  const auto at = places_.find(at_place);
  if (at == places_.end()) return;
  Place& place = at->second;
  if (by == ClosedBy::kFleet) place.closing.clear();
  const auto opening = place.here.find(id);
  if (opening == place.here.end()) return;
  const Here was = opening->second;
  WallTime until = was.until;
  Instant end = was.end;
  place.here.erase(opening);
  // What was asked for and not yet done comes behind the close.
  const bool may_reopen = place.asked > now.boot + kSlack;
  if (place.here.empty()) place.asked = {};
  if (place.own && place.own->opening == id) place.own->opening = 0;
  if (by == ClosedBy::kFleet) {
    // Knocked here behind our word to close, which knew nothing of it: it is opened again.
    if (!was.by_fleet && !place.own && was.own_end > now.boot) {
      place.own = {{until, next_id(now), was.user}, was.own_end, 0, false};
      if (is_ready()) share(at, now);
    }
    reconcile(at, now);
  }
  if (by == ClosedBy::kHand) {
    for (const auto& [gateway, held] : place.held) {
      until = std::max(until, held.until);
      end = std::max(end, held.end);
    }
    if (place.own) {
      until = std::max(until, place.own->message.until);
      end = std::max(end, place.own->end);
    }
    for (auto& [gateway, held] : std::exchange(place.held, {})) {
      kept_.forget(gateway);
      mark(place, gateway, {held.id, end, self_});
    }
    // Also what an earlier run of ours may have left at the broker.
    mark(place, self_, {next_id(now), end, self_});
    if (place.own && broker_ == Broker::kSynced) take_back(at_place, Topic::Kind::kOpen);
    place.own.reset();
    place.closer.clear();
    if (may_reopen) act(FleetClose{at_place, self_});
    place.closed_until = std::max(place.closed_until.value_or(until), until);
    if (broker_ == Broker::kSynced) publish_close(at, now);
  }
  schedule(at);
}

// --- The broker ----------------------------------------------------------------------------------

void Ledger::broker_connected() {
  broker_ = Broker::kSyncing;
  for (auto at = places_.begin(); at != places_.end();) {
    const auto current = at++;
    current->second.retained.reset();
    if (current->second.own) current->second.own->published = false;
    schedule(current);
  }
  act(FleetShare{true});
}

void Ledger::broker_synced(const Clocks& now) {
  if (broker_ != Broker::kSyncing) return;
  broker_ = Broker::kSynced;
  for (auto& [at, place] : places_) {
    if (place.closed_until) publish_close(places_.find(at), now);
  }
  forget_codes(now.boot);
  for (const auto& [key, seen] : codes_here_) publish_code(key, seen);
  settle_all(now);
}

void Ledger::broker_lost() {
  broker_ = Broker::kAway;
  act(FleetShare{false});
  for (auto& [key, seen] : codes_here_) {
    if (seen.waits != 0) act(FleetShared{std::exchange(seen.waits, 0)});
  }
}

void Ledger::received(const Topic& topic, std::string_view payload, std::optional<Duration> expiry,
                      const Clocks& now) {
  const bool is_own = topic.gateway == self_;
  // While we are connected nobody else writes there: it is what we have just said.
  if (is_own && broker_ != Broker::kSyncing) return;
  if (topic.kind == Topic::Kind::kSync) return;
  if (topic.kind != Topic::Kind::kCode && !doors_.contains(topic.place.door)) return;
  if (payload.empty()) return withdraw(topic);
  const auto end = [&](WallTime until) {
    const Instant by_clock = end_of(until, now);
    if (!expiry) return by_clock;
    const Duration left = *expiry > Duration::zero() ? *expiry + kExpiryUnit : Duration::zero();
    return std::min(by_clock, now.boot + std::min<Duration>(left, kLongestTime));
  };
  if (topic.kind == Topic::Kind::kOpen) {
    const auto message = parse_open_message(payload);
    if (!message) return refuse(topic.gateway + " sent a message that is none", now);
    if (is_own) return receive_own(topic, *message, now);
    return receive_open(topic, *message, end(message->until), now);
  }
  if (topic.kind == Topic::Kind::kClose) {
    const auto message = parse_close_message(payload);
    if (!message) return refuse(topic.gateway + " sent a message that is none", now);
    return receive_close(topic, *message, end(message->until), now);
  }
  const auto message = parse_code_message(payload);
  if (!message || message->address.is_v4() != topic.is_v4) {
    return refuse(topic.gateway + " sent a message that is none", now);
  }
  if (!is_own) receive_code(topic, *message, now);
}

void Ledger::received_garbage(std::string_view topic, const Clocks& now) {
  refuse("topic " + in_quotes(topic) + " is none of ours", now);
}

void Ledger::receive_own(const Topic& topic, const OpenMessage& message, const Clocks& now) {
  if (places_.size() >= 2 * kMost) return refuse("too many messages of our own name", now);
  const auto at = places_.try_emplace(topic.place).first;
  at->second.retained = message;
  learn_own_id(message.id);
}

void Ledger::receive_open(const Topic& topic, const OpenMessage& message, Instant end,
                          const Clocks& now) {
  if (end <= now.boot) return;
  const auto found = places_.find(topic.place);
  if (found != places_.end() && is_closed(found->second, topic.gateway, message.id)) return;
  const bool is_known = found != places_.end() && found->second.held.contains(topic.gateway);
  if (!is_known && !kept_.has_room(topic.gateway))
    return refuse(topic.gateway + " has too many", now);
  const auto at = places_.try_emplace(topic.place).first;
  Held& held = at->second.held[topic.gateway];
  if (!is_known) kept_.count(topic.gateway);
  // The same again, as after a reconnect, is no reason to begin its time anew.
  const bool is_same = is_known && held.id == message.id && message.until <= held.until;
  held = {message.id, message.until, is_same ? std::min(held.end, end) : end,
          is_same ? held.since : now.boot, message.user};
  reconcile(at, now);
  schedule(at);
}

void Ledger::receive_close(const Topic& topic, const CloseMessage& message, Instant end,
                           const Clocks& now) {
  if (end <= now.boot) {
    if (topic.gateway == self_) take_back(topic.place, Topic::Kind::kClose);
    return;
  }
  const auto at = places_.try_emplace(topic.place).first;
  Place& place = at->second;
  for (const auto& [gateway, id] : message.ids) {
    if (!place.marks.contains(gateway) && !kept_.has_room(topic.gateway)) {
      refuse(topic.gateway + " has too many", now);
      break;
    }
    mark(place, gateway, {id, end, topic.gateway});
    if (gateway == self_) learn_own_id(id);
    if (gateway == self_ && place.own && place.own->message.id <= id) {
      place.shut = place.own->message.until;
      place.own.reset();
      if (broker_ == Broker::kSynced) take_back(topic.place, Topic::Kind::kOpen);
    }
    const auto held = place.held.find(gateway);
    if (held == place.held.end() || held->second.id > id) continue;
    place.held.erase(held);
    kept_.forget(gateway);
  }
  place.closer = topic.gateway;
  reconcile(at, now);
  schedule(at);
}

// A message that is taken back closes nothing: what it has opened ends at its time.
void Ledger::withdraw(const Topic& topic) {
  const auto at = places_.find(topic.place);
  if (topic.kind != Topic::Kind::kOpen || at == places_.end()) return;
  if (at->second.held.erase(topic.gateway) != 0) kept_.forget(topic.gateway);
  schedule(at);
}

void Ledger::mark(Place& place, const std::string& gateway, const Mark& mark) {
  const auto found = place.marks.find(gateway);
  if (found != place.marks.end()) {
    found->second.id = std::max(found->second.id, mark.id);
    found->second.end = std::max(found->second.end, mark.end);
    return;
  }
  place.marks.emplace(gateway, mark);
  kept_.count(mark.closer);
}

bool Ledger::is_closed(const Place& place, const std::string& gateway, uint64_t id) const {
  const auto found = place.marks.find(gateway);
  return found != place.marks.end() && id <= found->second.id;
}

// --- What follows --------------------------------------------------------------------------------

void Ledger::settle_all(const Clocks& now) {
  for (auto at = places_.begin(); at != places_.end();) settle(at++, now);
}

// Brings together what was said while one of the two, daemon and broker, was away.
void Ledger::settle(Places::iterator at, const Clocks& now) {
  if (is_ready()) {
    settle_retained(at, now);
    share(at, now);
  }
  reconcile(at, now);
  schedule(at);
}

// What the broker has of us: ours from before, or of an earlier run.
void Ledger::settle_retained(Places::iterator at, const Clocks& now) {
  Place& place = at->second;
  if (!place.retained) return;
  const OpenMessage message = *std::exchange(place.retained, std::nullopt);
  if (place.own) {
    place.own->published = place.own->message == message;
    return;
  }
  const bool is_over = message.until <= now.wall;
  if (is_over || is_closed(place, self_, message.id)) {
    place.shut = std::max(place.shut, message.until);
    return take_back(at->first, Topic::Kind::kOpen);
  }
  // Whoever wrote it, it opens no longer than any other.
  Instant end = end_of(message.until, now);
  const auto facts = facts_.find(at->first.door);
  if (facts != facts_.end()) end = std::min(end, now.boot + facts->second.open_for);
  place.own = {message, end, 0, true};
}

// Whether it is the one that somebody has closed elsewhere; a renewal lasts longer.
bool Ledger::is_shut(const Place& place, const Here& here) {
  return !place.closer.empty() && here.until < place.shut + kSameOpening;
}

// Tells the others of our opening that lasts longest.
void Ledger::share(Places::iterator at, const Clocks& now) {
  Place& place = at->second;
  const Here* longest = nullptr;
  uint64_t id = 0;
  for (const auto& [opening, here] : place.here) {
    if (here.by_fleet || here.until <= now.wall) continue;
    if (longest != nullptr && here.until <= longest->until) continue;
    longest = &here;
    id = opening;
  }
  if (longest != nullptr) {
    const bool is_same =
        place.own && place.own->opening == 0 && is_near(place.own->message.until, longest->until);
    if (is_same) {
      place.own->opening = id;
    } else if (!is_shut(place, *longest) &&
               (!place.own || longest->until > place.own->message.until)) {
      // A renewal has an id of its own: who has closed the one before may not have known of it.
      place.own = {{longest->until, next_id(now), longest->user}, longest->own_end, id, false};
    }
  }
  if (place.own && !place.own->published) publish_own(at, now);
}

void Ledger::publish_own(Places::iterator at, const Clocks& now) {
  Own& own = *at->second.own;
  own.published = true;
  act(Publish{{Topic::Kind::kOpen, self_, at->first},
              to_json(own.message),
              expiry_of(own.message.until, now)});
}

void Ledger::publish_close(Places::iterator at, const Clocks& now) {
  const Place& place = at->second;
  CloseMessage message{{}, *place.closed_until};
  for (const auto& [gateway, mark] : place.marks) {
    if (message.ids.size() < kMostClosedIds) message.ids.emplace_back(gateway, mark.id);
  }
  act(Publish{{Topic::Kind::kClose, self_, at->first},
              to_json(message),
              expiry_of(*place.closed_until, now)});
}

void Ledger::take_back(const DoorAddress& at, Topic::Kind kind) { act(Publish{{kind, self_, at}}); }

// Our own is not capped: the daemon has granted it.
Ledger::Hold Ledger::longest_hold(const Place& place, Duration open_for) const {
  Hold longest;
  if (place.own) longest = {place.own->end, self_, place.own->message.user};
  for (const auto& [gateway, held] : place.held) {
    const Instant end = std::min(held.end, held.since + open_for);
    if (end > longest.end) longest = {end, gateway, held.user};
  }
  // Of those that are not told yet; they are open.
  for (const auto& [id, here] : place.here) {
    const bool holds = !here.by_fleet && !is_shut(place, here) && here.own_end > longest.end;
    if (holds) longest = {here.own_end, self_, here.user};
  }
  return longest;
}

// Has the daemon open what is held, and close what is closed.
void Ledger::reconcile(Places::iterator at, const Clocks& now) {
  if (!has_daemon_ || broker_ == Broker::kSyncing) return;
  const auto facts = facts_.find(at->first.door);
  // One that is gone since, or has nothing to undo, opens no more; what is open of it is closed.
  const bool opens = facts != facts_.end() && facts->second.closes;
  Place& place = at->second;
  const Hold hold = longest_hold(place, opens ? facts->second.open_for : Duration::zero());
  Instant open_until = place.asked;
  for (const auto& [id, here] : place.here) open_until = std::max(open_until, here.end);
  if (opens && hold.end > std::max(open_until, now.boot) + kSlack) {
    place.asked = hold.end;
    return act(FleetOpen{at->first, hold.end, hold.gateway, hold.user});
  }
  if (place.closer.empty() || hold.end > now.boot) return;
  const std::string closer = std::exchange(place.closer, "");
  if (open_until <= now.boot + kSlack) return;
  // It counts as closed from here on: what comes next is asked for behind this.
  place.here.clear();
  place.asked = {};
  place.closing = closer;
  place.closing_end = open_until;
  act(FleetClose{at->first, closer});
}

// --- Codes ---------------------------------------------------------------------------------------

void Ledger::code_used(const UsedCode& used, const Clocks& now) {
  forget_codes(now.boot);
  const CodeKey key{used.secret, used.code.address.is_v4()};
  SeenCode& seen = codes_here_[key];
  if (seen.waits != 0) act(FleetShared{seen.waits});  // it never waits for two of one
  seen = {used.code, self_, now.boot, used.id};
  if (broker_ != Broker::kAway) return publish_code(key, seen);
  seen.waits = 0;
  act(FleetShared{used.id});
}

void Ledger::publish_code(const CodeKey& key, const SeenCode& code) {
  act(Publish{{Topic::Kind::kCode, self_, {}, key.first, key.second},
              to_json(code.code),
              static_cast<uint32_t>(kCodeLife / seconds(1)),
              code.waits});
}

void Ledger::code_published(uint64_t id) {
  for (auto& [key, seen] : codes_here_) {
    if (id == 0 || seen.waits != id) continue;
    seen.waits = 0;
    return act(FleetShared{id});
  }
}

void Ledger::receive_code(const Topic& topic, const CodeMessage& message, const Clocks& now) {
  const Step step = step_at(duration_cast<seconds>(now.wall).count());
  if (message.step > step + kStepsAhead) {
    return refuse(topic.gateway + " sent a code of a time to come", now);
  }
  if (message.step < step - kStepsBehind) return;
  forget_codes(now.boot);
  const CodeKey key{topic.secret, topic.is_v4};
  const auto known = codes_there_.find(key);
  if (known != codes_there_.end() && known->second.code.step >= message.step) return;
  if (known != codes_there_.end()) {
    kept_codes_.forget(known->second.gateway);
  } else if (!kept_codes_.has_room(topic.gateway)) {
    return refuse(topic.gateway + " has too many codes", now);
  }
  kept_codes_.count(topic.gateway);
  codes_there_[key] = {message, topic.gateway, now.boot};
  if (has_daemon_) act(FleetUsed{topic.secret, message, topic.gateway});
}

void Ledger::forget_codes(Instant now) {
  if (now < codes_forgotten_ + kBetweenForgetting) return;
  codes_forgotten_ = now;
  const auto is_old = [&](const SeenCode& code) { return code.seen + kCodeLife <= now; };
  std::erase_if(codes_here_, [&](const auto& entry) { return is_old(entry.second); });
  std::erase_if(codes_there_, [&](const auto& entry) {
    if (!is_old(entry.second)) return false;
    kept_codes_.forget(entry.second.gateway);
    return true;
  });
}

// --- Time and bounds -----------------------------------------------------------------------------

void Ledger::time_passed(const Clocks& now) {
  while (!due_.empty() && due_.begin()->first <= now.boot) {
    const auto at = places_.find(due_.begin()->second);
    Place& place = at->second;
    for (auto held = place.held.begin(); held != place.held.end();) {
      const auto current = held++;
      if (current->second.end > now.boot) continue;
      kept_.forget(current->first);
      place.held.erase(current);
    }
    for (auto one = place.marks.begin(); one != place.marks.end();) {
      const auto current = one++;
      if (current->second.end > now.boot) continue;
      kept_.forget(current->second.closer);
      place.marks.erase(current);
    }
    if (place.own && place.own->end <= now.boot) place.own.reset();
    if (place.marks.empty()) place.closed_until.reset();
    if (place.asked <= now.boot) place.asked = {};
    if (place.closing_end <= now.boot) place.closing.clear();
    reconcile(at, now);
    schedule(at);
  }
}

std::optional<Instant> Ledger::alarm() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

// Notes when the next thing of this place ends; forgets a place of which nothing is left.
void Ledger::schedule(Places::iterator at) {
  Place& place = at->second;
  if (place.due) due_.erase({*place.due, at->first});
  place.due.reset();
  const auto consider = [&](Instant end) { place.due = std::min(place.due.value_or(end), end); };
  for (const auto& [gateway, held] : place.held) consider(held.end);
  for (const auto& [gateway, mark] : place.marks) consider(mark.end);
  if (place.own) consider(place.own->end);
  if (place.asked != Instant()) consider(place.asked);
  if (!place.closing.empty()) consider(place.closing_end);
  if (place.due) {
    due_.emplace(*place.due, at->first);
  } else if (place.here.empty() && !place.retained) {
    places_.erase(at);
  }
}

bool Ledger::Kept::has_room(const std::string& gateway) const {
  const auto found = of.find(gateway);
  return all < kMost && (found == of.end() || found->second < kMostOfGateway);
}

void Ledger::Kept::count(const std::string& gateway) {
  ++all;
  ++of[gateway];
}

void Ledger::Kept::forget(const std::string& gateway) {
  --all;
  const auto found = of.find(gateway);
  if (--found->second == 0) of.erase(found);
}

void Ledger::refuse(const std::string& what, const Clocks& now) {
  ++refused_;
  if (silent_until_ && now.boot < *silent_until_) return;
  silent_until_ = now.boot + kBetweenComplaints;
  act(Say{LogLevel::kWarning, counted(std::exchange(refused_, 0), "message") +
                                  " of the fleet refused, the last: " + what});
}

void Ledger::warn_of_doors() {
  for (const std::string& door : doors_) {
    const auto facts = facts_.find(door);
    const char* const what = facts == facts_.end()   ? " is no door of the daemon here"
                             : !facts->second.closes ? " has nothing that its end would undo"
                                                     : nullptr;
    if (what == nullptr) {
      warned_of_.erase(door);
    } else if (warned_of_.insert(door).second) {
      act(Say{LogLevel::kWarning, printable(door) + what + ": it is not shared (Doors)"});
    }
  }
}

// Greater than all before, those of earlier runs included.
uint64_t Ledger::next_id(const Clocks& now) {
  const auto ms = std::max<int64_t>(duration_cast<milliseconds>(now.wall).count(), 0);
  last_id_ = std::max(last_id_ + 1, static_cast<uint64_t>(ms));
  return last_id_;
}

void Ledger::learn_own_id(uint64_t id) {
  if (id <= kLastLearntId) last_id_ = std::max(last_id_, id);
}

}  // namespace knockd
