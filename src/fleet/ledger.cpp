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

// Ends that differ by less are the same: messages need a moment.
constexpr Duration kSlack = milliseconds(20);
// The broker's remaining expiry is in whole seconds, rounded down.
constexpr Duration kExpiryUnit = seconds(1);
constexpr Duration kBetweenComplaints = seconds(60);
// The highest of our ids accepted from others: leaves enough up to 2^53, the highest that is read.
constexpr uint64_t kLastLearntId = (uint64_t{1} << 53) - (uint64_t{1} << 50);

}  // namespace

// --- The daemon ----------------------------------------------------------------------------------

void Ledger::daemon_is(const DaemonStatus& status, const Clocks& now) {
  daemon_lost();
  has_daemon_ = true;
  facts_ = status.doors;
  warn_of_doors();
  // Requests that the previous daemon may have missed.
  for (auto& [at, place] : places_) {
    if (place.closer.empty()) place.closer = std::exchange(place.closing, "");
  }
  for (const LocalOpening& opening : status.openings) add_here(opening, now);
  act_each(codes_.elsewhere());
  settle_all(now);
}

void Ledger::daemon_lost() {
  has_daemon_ = false;
  for (auto at = places_.begin(); at != places_.end();) {
    const auto current = at++;
    SharedPlace& place = current->second;
    place.here.clear();
    place.asked = {};
    if (place.own) place.own->opening = 0;
    schedule(current);
  }
}

void Ledger::add_here(const LocalOpening& opening, const Clocks& now) {
  if (!doors_.contains(opening.place.door)) return;
  const Instant end = now.end_of(opening.until);
  places_[opening.place].here[opening.id] = {opening.until, end, end, opening.user,
                                             opening.by_fleet};
}

void Ledger::opened(const LocalOpening& opening, const Clocks& now) {
  if (!doors_.contains(opening.place.door)) return;
  const auto at = places_.try_emplace(opening.place).first;
  // A local opening prolonged by the fleet keeps its own end, which we publish.
  const auto known = at->second.here.find(opening.id);
  if (known != at->second.here.end() && opening.by_fleet && !known->second.by_fleet) {
    known->second.end = now.end_of(opening.until);
  } else {
    add_here(opening, now);
  }
  if (is_ready()) share(at, now);
  schedule(at);
}

void Ledger::closed(const DoorAddress& at_place, uint64_t id, ClosedBy by, const Clocks& now) {
  const auto at = places_.find(at_place);
  if (at == places_.end()) return;
  SharedPlace& place = at->second;
  if (by == ClosedBy::kFleet) place.closing.clear();
  const auto opening = place.here.find(id);
  if (opening == place.here.end()) return;
  const SharedPlace::Here was = opening->second;
  place.here.erase(opening);
  // A pending request to open follows the close.
  const bool may_reopen = place.asked > now.boot + kSlack;
  if (place.here.empty()) place.asked = {};
  if (place.own && place.own->opening == id) place.own->opening = 0;
  if (by == ClosedBy::kFleet) closed_by_fleet(at, was, now);
  if (by == ClosedBy::kHand) closed_by_hand(at, was, may_reopen, now);
  schedule(at);
}

void Ledger::closed_by_fleet(Places::iterator at, const SharedPlace::Here& was, const Clocks& now) {
  SharedPlace& place = at->second;
  // Knocked here after our request to close, which did not include it: reopen it.
  if (!was.by_fleet && !place.own && was.own_end > now.boot) {
    place.own = {{was.until, next_id(now), was.user}, was.own_end, 0, false};
    if (is_ready()) share(at, now);
  }
  reconcile(at, now);
}

void Ledger::closed_by_hand(Places::iterator at, const SharedPlace::Here& was, bool may_reopen,
                            const Clocks& now) {
  SharedPlace& place = at->second;
  const auto [until, end] = place.last_end({was.until, was.end});
  place.mark_held(self_, end, quota_);
  // Also covers messages of an earlier run at the broker.
  place.mark(self_, {next_id(now), end, self_}, quota_);
  if (place.own && broker_ == Broker::kSynced) take_back(at->first, Topic::Kind::kOpen);
  place.own.reset();
  place.closer.clear();
  if (may_reopen) act(FleetClose{at->first, self_});
  place.closed_until = std::max(place.closed_until.value_or(until), until);
  if (broker_ == Broker::kSynced) publish_close(at, now);
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
  act_each(codes_.here(now.boot));
  settle_all(now);
}

void Ledger::broker_lost() {
  broker_ = Broker::kAway;
  act(FleetShare{false});
  act_each(codes_.broker_lost());
}

void Ledger::received(const Topic& topic, std::string_view payload, std::optional<Duration> expiry,
                      const Clocks& now) {
  const bool is_own = topic.gateway == self_;
  // While we are connected nobody else writes there: it is our own message.
  if (is_own && broker_ != Broker::kSyncing) return;
  if (topic.kind == Topic::Kind::kSync) return;
  if (topic.kind != Topic::Kind::kCode && !doors_.contains(topic.place.door)) return;
  if (payload.empty()) return withdraw(topic);
  const auto end = [&](WallTime until) {
    const Instant by_clock = now.end_of(until);
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
  if (places_.size() >= 2 * SenderQuota::kMost)
    return refuse("too many messages of our own name", now);
  const auto at = places_.try_emplace(topic.place).first;
  at->second.retained = message;
  learn_own_id(message.id);
}

void Ledger::receive_open(const Topic& topic, const OpenMessage& message, Instant end,
                          const Clocks& now) {
  if (end <= now.boot) return;
  const auto found = places_.find(topic.place);
  if (found != places_.end() && found->second.is_closed(topic.gateway, message.id)) return;
  const bool is_known = found != places_.end() && found->second.held.contains(topic.gateway);
  if (!is_known && !quota_.has_room(topic.gateway))
    return refuse(topic.gateway + " has too many", now);
  const auto at = places_.try_emplace(topic.place).first;
  SharedPlace::Held& held = at->second.held[topic.gateway];
  if (!is_known) quota_.count(topic.gateway);
  // A repeated message, as after a reconnect, does not restart its time.
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
  SharedPlace& place = at->second;
  for (const auto& [gateway, id] : message.ids) {
    if (!place.marks.contains(gateway) && !quota_.has_room(topic.gateway)) {
      refuse(topic.gateway + " has too many", now);
      break;
    }
    place.mark(gateway, {id, end, topic.gateway}, quota_);
    if (gateway == self_) learn_own_id(id);
    if (gateway == self_ && place.own && place.own->message.id <= id) {
      place.shut = place.own->message.until;
      place.own.reset();
      if (broker_ == Broker::kSynced) take_back(topic.place, Topic::Kind::kOpen);
    }
    place.release(gateway, id, quota_);
  }
  place.closer = topic.gateway;
  reconcile(at, now);
  schedule(at);
}

// A deleted message closes nothing: the opening ends at its time.
void Ledger::withdraw(const Topic& topic) {
  const auto at = places_.find(topic.place);
  if (topic.kind != Topic::Kind::kOpen || at == places_.end()) return;
  at->second.release(topic.gateway, UINT64_MAX, quota_);
  schedule(at);
}

// --- What follows --------------------------------------------------------------------------------

void Ledger::settle_all(const Clocks& now) {
  for (auto at = places_.begin(); at != places_.end();) settle(at++, now);
}

// Reconciles changes made while the daemon or the broker was away.
void Ledger::settle(Places::iterator at, const Clocks& now) {
  if (is_ready()) {
    settle_retained(at, now);
    share(at, now);
  }
  reconcile(at, now);
  schedule(at);
}

// Handles our retained message: from before the reconnect, or of an earlier run.
void Ledger::settle_retained(Places::iterator at, const Clocks& now) {
  SharedPlace& place = at->second;
  if (!place.retained) return;
  const OpenMessage message = *std::exchange(place.retained, std::nullopt);
  if (place.own) {
    place.own->published = place.own->message == message;
    return;
  }
  const bool is_over = message.until <= now.wall;
  if (is_over || place.is_closed(self_, message.id)) {
    place.shut = std::max(place.shut, message.until);
    return take_back(at->first, Topic::Kind::kOpen);
  }
  // Limited like the messages of others.
  Instant end = now.end_of(message.until);
  const auto facts = facts_.find(at->first.door);
  if (facts != facts_.end()) end = std::min(end, now.boot + facts->second.open_for);
  place.own = {message, end, 0, true};
}

// Publishes our opening that lasts longest.
void Ledger::share(Places::iterator at, const Clocks& now) {
  SharedPlace& place = at->second;
  if (const auto id = place.longest_here(now.wall)) {
    const SharedPlace::Here& longest = place.here.at(*id);
    const bool is_same = place.own && place.own->opening == 0 &&
                         is_same_end(place.own->message.until, longest.until);
    if (is_same) {
      place.own->opening = *id;
    } else if (!place.is_shut(longest) &&
               (!place.own || longest.until > place.own->message.until)) {
      // A renewal gets a new id: a close of the previous one may not include it.
      place.own = {{longest.until, next_id(now), longest.user}, longest.own_end, *id, false};
    }
  }
  if (place.own && !place.own->published) publish_own(at, now);
}

void Ledger::publish_own(Places::iterator at, const Clocks& now) {
  SharedPlace::Own& own = *at->second.own;
  own.published = true;
  act(Publish{{Topic::Kind::kOpen, self_, at->first},
              to_json(own.message),
              now.expiry_of(own.message.until)});
}

void Ledger::publish_close(Places::iterator at, const Clocks& now) {
  const SharedPlace& place = at->second;
  CloseMessage message{{}, *place.closed_until};
  for (const auto& [gateway, mark] : place.marks) {
    if (message.ids.size() < kMostClosedIds) message.ids.emplace_back(gateway, mark.id);
  }
  act(Publish{{Topic::Kind::kClose, self_, at->first},
              to_json(message),
              now.expiry_of(*place.closed_until)});
}

void Ledger::take_back(const DoorAddress& at, Topic::Kind kind) { act(Publish{{kind, self_, at}}); }

// Requests from the daemon to open held doors and to close closed ones.
void Ledger::reconcile(Places::iterator at, const Clocks& now) {
  if (!has_daemon_ || broker_ == Broker::kSyncing) return;
  const auto facts = facts_.find(at->first.door);
  // A door that was removed or has nothing to undo is not opened; its open ones are closed.
  const bool opens = facts != facts_.end() && facts->second.closes;
  SharedPlace& place = at->second;
  const SharedPlace::Hold hold =
      place.longest_hold(opens ? facts->second.open_for : Duration::zero(), self_);
  const Instant open_until = place.open_until();
  if (opens && hold.end > std::max(open_until, now.boot) + kSlack) {
    place.asked = hold.end;
    return act(FleetOpen{at->first, hold.end, hold.gateway, hold.user});
  }
  if (place.closer.empty() || hold.end > now.boot) return;
  const std::string closer = std::exchange(place.closer, "");
  if (open_until <= now.boot + kSlack) return;
  // It counts as closed from now on: later requests follow this one.
  place.here.clear();
  place.asked = {};
  place.closing = closer;
  place.closing_end = open_until;
  act(FleetClose{at->first, closer});
}

// --- Codes ---------------------------------------------------------------------------------------

void Ledger::code_used(const UsedCode& used, const Clocks& now) {
  act_each(codes_.used(used, broker_ != Broker::kAway, now.boot));
}

void Ledger::code_published(uint64_t id) {
  if (const auto shared = codes_.published(id)) act(*shared);
}

void Ledger::receive_code(const Topic& topic, const CodeMessage& message, const Clocks& now) {
  const Result<bool> is_news = codes_.received(topic, message, now);
  if (!is_news) return refuse(is_news.error().text, now);
  if (*is_news && has_daemon_) act(FleetUsed{topic.secret, message, topic.gateway});
}

// --- Time and bounds -----------------------------------------------------------------------------

void Ledger::time_passed(const Clocks& now) {
  while (!due_.empty() && due_.begin()->first <= now.boot) {
    const auto at = places_.find(due_.begin()->second);
    at->second.forget_over(now.boot, quota_);
    reconcile(at, now);
    schedule(at);
  }
}

std::optional<Instant> Ledger::alarm() const {
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

// Sets when the next part of this place ends; removes an empty place.
void Ledger::schedule(Places::iterator at) {
  SharedPlace& place = at->second;
  if (place.due) due_.erase({*place.due, at->first});
  place.due = place.next_end();
  if (place.due) {
    due_.emplace(*place.due, at->first);
  } else if (place.is_empty()) {
    places_.erase(at);
  }
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

// Greater than all earlier ids, also of previous runs.
uint64_t Ledger::next_id(const Clocks& now) {
  const auto ms = std::max<int64_t>(duration_cast<milliseconds>(now.wall).count(), 0);
  last_id_ = std::max(last_id_ + 1, static_cast<uint64_t>(ms));
  return last_id_;
}

void Ledger::learn_own_id(uint64_t id) {
  if (id <= kLastLearntId) last_id_ = std::max(last_id_, id);
}

}  // namespace knockd
