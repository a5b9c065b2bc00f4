// SPDX-License-Identifier: MIT
// Random histories of a whole fleet on virtual time: gateways with a ledger each, a minimal daemon,
// one broker. Messages wait in queues, any of which may move next; daemons, programs and the broker
// stop and restart, the broker loses its data, clocks differ. A model knows only the knocks and the
// closings by hand. It says what must be open and closed whenever all queues are empty, and at any
// time that nothing is open past its end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/fleet/ledger.h"

namespace knockd {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kOpenFor = seconds(100);
constexpr Duration kSlack = milliseconds(60);
// The broker expires messages at most a second late, because it counts in seconds.
constexpr Duration kExpiryRounding = seconds(1);
const WallTime kEpoch = seconds(1766000000);

const std::vector<DoorAddress> kPlaces = {
    {"extend", *IpAddress::parse("192.0.2.1")},
    {"extend", *IpAddress::parse("2001:db8::2")},
    {"run", *IpAddress::parse("192.0.2.1")},
};

// A knock in the model.
struct Grant {
  size_t gateway = 0;
  DoorAddress place{};
  Instant begin{};
  Instant end{};
  bool closed = false;
  bool unclear = false;        // whether it is closed depends on the messages in the queues
  std::set<size_t> seen_by{};  // gateways that have been idle since
};

struct Retained {
  std::string payload;
  Instant gone{};
};

// The daemon of one gateway.
struct FakeDaemon {
  struct Opening {
    DoorAddress place;
    Instant end{};
    bool by_fleet = false;
  };
  bool runs = true;
  uint64_t last_id = 0;
  std::map<uint64_t, Opening> openings;
};

struct Gateway {
  std::string name;
  Duration skew{};
  FakeDaemon daemon;
  std::unique_ptr<Ledger> ledger;  // null while the program does not run
  bool linked = false;             // to the daemon
  bool connected = false;          // to the broker
  bool partitioned = false;
  std::deque<std::function<void()>> from_daemon;
  std::deque<std::function<void()>> to_daemon;
  std::deque<std::function<void()>> from_broker;
  std::deque<std::function<void()>> to_broker;
};

class World {
 public:
  World(uint32_t seed, size_t gateways, Duration skew) : random_(seed), skew_(skew) {
    for (size_t i = 0; i < gateways; ++i) {
      auto& one = gateways_.emplace_back();
      one.name = "gw" + std::to_string(i);
      one.skew = skew.count() == 0 ? skew : pick_skew();
      start_program(i);
    }
  }

  // Empty, or the violation.
  std::string play(int steps) {
    for (int i = 0; i < steps && fault_.empty(); ++i) step();
    for (int i = 0; i < 3 && fault_.empty(); ++i) {
      come_to_rest();
      pass(seconds(30));
    }
    return fault_;
  }
  const std::vector<std::string>& story() const { return story_; }

 private:
  size_t below(size_t most) { return std::uniform_int_distribution<size_t>(0, most - 1)(random_); }
  Duration pick_skew() {
    return skew_ * (static_cast<int>(below(201)) - 100) / 200;  // half of it, in each direction
  }
  Clocks clocks(const Gateway& at) const {
    return {now_, kEpoch + now_.time_since_epoch() + at.skew};
  }
  WallTime wall_of(const Gateway& at, Instant when) const {
    return duration_cast<milliseconds>(kEpoch + when.time_since_epoch() + at.skew);
  }
  void tell(const std::string& what) {
    story_.push_back(format("%.3f ", static_cast<double>(now_.time_since_epoch().count()) / 1e9) +
                     what);
  }

  void step() {
    const size_t i = below(gateways_.size());
    Gateway& at = gateways_[i];
    switch (below(26)) {
      case 0:
      case 1:
      case 2:
        return knock(i);
      case 3:
        return close_by_hand(i);
      case 4:
        tell(at.name + " partition " + (at.partitioned ? "over" : "begins"));
        at.partitioned = !at.partitioned;
        return at.partitioned ? disconnect(at) : void();
      case 5:
        return kill_program(i);
      case 6:
        return restart_daemon(i, below(2) == 0);
      case 7:
        return below(4) == 0 ? restart_broker(below(2) == 0) : void();
      case 8:
      case 9:
        return come_to_rest();
      case 10:
      case 11:
      case 12:
        return pass(milliseconds(below(8000)));
      default:
        for (size_t n = below(6); n > 0 && fault_.empty(); --n) move();
    }
  }

  // --- What people do

  void knock(size_t i) {
    Gateway& at = gateways_[i];
    if (!at.daemon.runs) return;
    const DoorAddress& place = kPlaces[below(kPlaces.size())];
    // The ledger treats ends less than a second apart as equal.
    for (const Grant& grant : grants_) {
      if (grant.place == place && now_ - grant.begin < seconds(3) + 2 * skew_) return;
    }
    tell(at.name + " knock " + place.door + ' ' + place.address.to_string());
    grants_.push_back({i, place, now_, now_ + kOpenFor});
    if (place.door == "extend") {
      for (auto& [id, opening] : at.daemon.openings) {
        if (opening.place != place) continue;
        opening.end = now_ + kOpenFor;
        opening.by_fleet = false;
        return tell_open(at, id, opening);
      }
    }
    open(at, {place, now_ + kOpenFor, false});
  }

  void close_by_hand(size_t i) {
    Gateway& at = gateways_[i];
    if (!at.daemon.runs) return;
    const DoorAddress& place = kPlaces[below(kPlaces.size())];
    const bool is_open = std::ranges::any_of(
        at.daemon.openings, [&](const auto& entry) { return entry.second.place == place; });
    if (!is_open) return;
    tell(at.name + " close " + place.door + ' ' + place.address.to_string());
    const bool is_followed = at.ledger && at.linked;
    for (Grant& grant : grants_) {
      if (grant.place != place || grant.end <= now_) continue;
      const bool knows = is_followed && grant.seen_by.contains(i);
      (knows ? grant.closed : grant.unclear) = true;
    }
    close(at, place, ClosedBy::kHand);
  }

  // --- What breaks

  void kill_program(size_t i) {
    Gateway& at = gateways_[i];
    tell(at.name + (at.ledger ? " program killed" : " program starts"));
    if (!at.ledger) return start_program(i);
    if (!is_at_rest(at)) {
      // The closings that only it knew are lost.
      for (Grant& grant : grants_) grant.unclear |= grant.closed || grant.gateway == i;
    }
    disconnect(at);
    at.ledger.reset();
    at.linked = false;
    at.from_daemon.clear();
    at.to_daemon.clear();
  }

  void start_program(size_t i) {
    Gateway& at = gateways_[i];
    at.ledger = std::make_unique<Ledger>(at.name, std::set<std::string>{"extend", "run"});
  }

  void restart_daemon(size_t i, bool closes) {
    Gateway& at = gateways_[i];
    tell(at.name + (at.daemon.runs ? " daemon ends" : " daemon starts"));
    if (at.daemon.runs && closes) {
      // Closings that were never published are lost with it.
      if (!is_at_rest(at)) {
        for (Grant& grant : grants_) grant.unclear |= grant.gateway == i || grant.closed;
      }
      for (const DoorAddress& place : kPlaces) close(at, place, ClosedBy::kShutdown);
    }
    if (at.daemon.runs) {
      if (!is_at_rest(at)) {  // pending requests are lost with it
        for (Grant& grant : grants_) grant.unclear |= grant.closed;
      }
      unlink(at);
    }
    at.daemon.runs = !at.daemon.runs;
    at.daemon.last_id = at.daemon.openings.empty() ? 0 : at.daemon.openings.rbegin()->first;
  }

  void unlink(Gateway& at) {
    at.from_daemon.clear();
    at.to_daemon.clear();
    if (at.ledger && at.linked) {
      at.ledger->daemon_lost();
      carry_out(at);
    }
    at.linked = false;
  }

  void restart_broker(bool forgets) {
    tell(std::string("broker restarts") + (forgets ? " and forgets" : ""));
    const bool all_rest =
        std::ranges::all_of(gateways_, [&](const Gateway& at) { return is_at_rest(at); });
    if (forgets) {
      if (!all_rest) {
        for (Grant& grant : grants_) grant.unclear = true;
      }
      retained_.clear();
    }
    for (Gateway& at : gateways_) disconnect(at);
  }

  void disconnect(Gateway& at) {
    at.from_broker.clear();
    at.to_broker.clear();
    if (!at.connected) return;
    at.connected = false;
    if (!at.ledger) return;
    at.ledger->broker_lost();
    carry_out(at);
  }

  // --- The daemon

  void tell_open(Gateway& at, uint64_t id, const FakeDaemon::Opening& opening) {
    if (!at.linked) return;
    LocalOpening told{id, opening.place, wall_of(at, opening.end), "", opening.by_fleet};
    at.from_daemon.emplace_back([this, &at, told] { at.ledger->opened(told, clocks(at)); });
  }

  void open(Gateway& at, const FakeDaemon::Opening& opening) {
    const uint64_t id = ++at.daemon.last_id;
    at.daemon.openings[id] = opening;
    tell_open(at, id, opening);
  }

  void close(Gateway& at, const DoorAddress& place, ClosedBy by) {
    for (auto entry = at.daemon.openings.begin(); entry != at.daemon.openings.end();) {
      const auto current = entry++;
      if (current->second.place == place) close(at, current->first, by);
    }
  }

  void close(Gateway& at, uint64_t id, ClosedBy by) {
    const DoorAddress place = at.daemon.openings.at(id).place;
    at.daemon.openings.erase(id);
    if (!at.linked) return;
    at.from_daemon.emplace_back([this, &at, place, id, by, since = now_] {
      // A knock elsewhere, before the program learns of the closing, may be closed too.
      for (Grant& grant : grants_) {
        grant.unclear |= by == ClosedBy::kHand && grant.place == place && grant.begin >= since;
      }
      at.ledger->closed(place, id, by, clocks(at));
    });
  }

  void fleet_open(Gateway& at, const FleetOpen& ask) {
    const Duration left = std::min(ask.end - now_, kOpenFor);
    if (left <= Duration::zero()) return;
    FakeDaemon::Opening* longest = nullptr;
    uint64_t longest_id = 0;
    for (auto& [id, opening] : at.daemon.openings) {
      if (opening.place != ask.place) continue;
      if (longest != nullptr && opening.end <= longest->end) continue;
      longest = &opening;
      longest_id = id;
    }
    tell(at.name + " opens by " + ask.gateway);
    if (longest == nullptr) return open(at, {ask.place, now_ + left, true});
    if (longest->end >= now_ + left - milliseconds(10)) return;
    longest->end = now_ + left;
    longest->by_fleet = true;
    tell_open(at, longest_id, *longest);
  }

  // --- The broker

  void publish(Gateway& at, const Publish& message) {
    const std::string topic = to_text("f", message.topic);
    if (message.payload.empty()) {
      retained_.erase(topic);
    } else {
      retained_[topic] = {message.payload, now_ + seconds(message.expiry)};
    }
    for (Gateway& other : gateways_) {
      if (other.connected) deliver(other, topic, message.payload, now_ + seconds(message.expiry));
    }
    (void)at;
  }

  void deliver(Gateway& to, const std::string& topic, const std::string& payload, Instant gone) {
    to.from_broker.emplace_back([this, &to, topic, payload, gone] {
      if (!payload.empty() && gone <= now_) return;
      const auto left = std::chrono::ceil<seconds>(gone - now_);
      to.ledger->received(*parse_topic("f", topic), payload,
                          payload.empty() ? std::nullopt : std::optional<Duration>(left),
                          clocks(to));
    });
  }

  void connect(Gateway& at) {
    at.connected = true;
    at.ledger->broker_connected();
    carry_out(at);
    for (const char* const kind : {"/close/", "/open/"}) {
      for (const auto& [topic, message] : retained_) {
        if (topic.find(kind) == topic.npos) continue;
        deliver(at, topic, message.payload, message.gone);
      }
    }
    at.from_broker.emplace_back([this, &at] { at.ledger->broker_synced(clocks(at)); });
  }

  void link(Gateway& at) {
    at.linked = true;
    DaemonStatus status;
    status.doors["extend"] = status.doors["run"] = {kOpenFor, true};
    for (const auto& [id, opening] : at.daemon.openings) {
      status.openings.push_back(
          {id, opening.place, wall_of(at, opening.end), "", opening.by_fleet});
    }
    at.ledger->daemon_is(status, clocks(at));
    carry_out(at);
  }

  void carry_out(Gateway& at) {
    for (FleetAction& action : at.ledger->take_actions()) {
      if (auto* message = std::get_if<Publish>(&action)) {
        if (!at.connected) {
          fault_ = at.name + " publishes without a broker";
          return;
        }
        at.to_broker.emplace_back([this, &at, message = *message] { publish(at, message); });
      } else if (auto* open = std::get_if<FleetOpen>(&action)) {
        at.to_daemon.emplace_back([this, &at, open = *open] { fleet_open(at, open); });
      } else if (auto* shut = std::get_if<FleetClose>(&action)) {
        at.to_daemon.emplace_back([this, &at, shut = *shut, since = now_] {
          tell(at.name + " closes by " + shut.gateway);
          // A knock between the message and its execution may be closed too.
          for (Grant& grant : grants_) {
            grant.unclear |= &gateways_[grant.gateway] == &at && grant.begin >= since;
          }
          close(at, shut.place, ClosedBy::kFleet);
        });
      }
    }
  }

  // --- Time and order

  std::vector<std::pair<Gateway*, std::deque<std::function<void()>>*>> queues() {
    std::vector<std::pair<Gateway*, std::deque<std::function<void()>>*>> all;
    for (Gateway& at : gateways_) {
      for (auto* queue : {&at.from_daemon, &at.to_daemon, &at.from_broker, &at.to_broker}) {
        if (!queue->empty()) all.emplace_back(&at, queue);
      }
    }
    return all;
  }

  // Executes one waiting action. False if none waits.
  bool move() {
    const auto waiting = queues();
    if (waiting.empty()) return false;
    const auto [at, queue] = waiting[below(waiting.size())];
    const auto what = std::move(queue->front());
    queue->pop_front();
    what();
    if (at->ledger) carry_out(*at);
    check_ends();
    return true;
  }

  bool is_at_rest(const Gateway& at) const {
    return at.ledger && at.linked && at.connected && at.from_daemon.empty() &&
           at.to_daemon.empty() && at.from_broker.empty() && at.to_broker.empty();
  }

  // Restarts everything, and delivers all messages.
  void come_to_rest() {
    for (size_t i = 0; i < gateways_.size(); ++i) {
      Gateway& at = gateways_[i];
      at.partitioned = false;
      if (!at.daemon.runs) restart_daemon(i, false);
      if (!at.ledger) start_program(i);
      if (!at.linked) link(at);
      if (!at.connected) connect(at);
    }
    for (int moved = 0; move() && fault_.empty(); ++moved) {
      if (moved > 20000) fault_ = "never comes to rest";
    }
    tell("rest");
    for (Grant& grant : grants_) {
      for (size_t i = 0; i < gateways_.size(); ++i) grant.seen_by.insert(i);
    }
    if (fault_.empty()) check_rest();
  }

  void pass(Duration time) {
    const Instant target = now_ + time;
    while (now_ < target && fault_.empty()) {
      Instant next = target;
      for (const Gateway& at : gateways_) {
        for (const auto& [id, opening] : at.daemon.openings) next = std::min(next, opening.end);
        if (at.ledger && at.ledger->alarm()) next = std::min(next, *at.ledger->alarm());
      }
      now_ = std::max(next, now_);
      for (Gateway& at : gateways_) {
        std::vector<uint64_t> over;
        for (const auto& [id, opening] : at.daemon.openings) {
          if (opening.end <= now_) over.push_back(id);
        }
        // A daemon that does not run closes at its next start, without the fleet.
        for (const uint64_t id : over) close(at, id, ClosedBy::kTime);
        if (!at.ledger) continue;
        at.ledger->time_passed(clocks(at));
        carry_out(at);
      }
      check_ends();
    }
    std::erase_if(grants_, [&](const Grant& grant) { return grant.end + seconds(200) < now_; });
    std::erase_if(retained_, [&](const auto& entry) { return entry.second.gone <= now_; });
  }

  // --- The model

  Duration late() const {
    return skew_.count() == 0 ? kSlack
                              : std::min<Duration>(skew_ + kSlack, skew_ + kExpiryRounding);
  }

  void check_ends() {
    for (const Gateway& at : gateways_) {
      for (const auto& [id, opening] : at.daemon.openings) {
        Instant last{};
        for (const Grant& grant : grants_) {
          if (grant.place == opening.place) last = std::max(last, grant.end);
        }
        if (opening.end > last + late()) {
          fault_ = at.name + " would open " + opening.place.door + " past its end";
        }
      }
    }
  }

  void check_rest() {
    for (const DoorAddress& place : kPlaces) {
      Instant must{};
      Instant may{};
      for (const Grant& grant : grants_) {
        if (grant.place != place) continue;
        if (!grant.closed) may = std::max(may, grant.end);
        if (grant.closed && grant.end < now_ + 2 * skew_) may = std::max(may, grant.end);
        if (grant.unclear) may = std::max(may, grant.end);
        if (!grant.closed && !grant.unclear) must = std::max(must, grant.end);
      }
      for (const Gateway& at : gateways_) {
        Instant is{};
        for (const auto& [id, opening] : at.daemon.openings) {
          if (opening.place == place) is = std::max(is, opening.end);
        }
        const std::string where = at.name + ' ' + place.door + ' ' + place.address.to_string();
        if (must > now_ + late() && is + late() < must) fault_ = where + ": not open, or too short";
        if (may <= now_ && is > now_ + late()) fault_ = where + ": still open";
      }
    }
  }

  std::mt19937 random_;
  const Duration skew_;
  Instant now_{seconds(1000)};
  std::deque<Gateway> gateways_;
  std::map<std::string, Retained> retained_;
  std::vector<Grant> grants_;
  std::vector<std::string> story_;
  std::string fault_;
};

std::string story_of(uint32_t seed, size_t gateways, Duration skew, int steps) {
  World world(seed, gateways, skew);
  const std::string fault = world.play(steps);
  if (fault.empty()) return "";
  return "seed " + std::to_string(seed) + ": " + fault + '\n' + join(world.story(), "\n");
}

// KNOCKD_FLEET_HISTORIES=100 runs a hundred times as many.
void play(int histories, size_t gateways, Duration skew) {
  const char* const times = std::getenv("KNOCKD_FLEET_HISTORIES");
  if (times != nullptr) histories *= std::max(std::atoi(times), 1);
  for (int seed = 0; seed < histories; ++seed) {
    const std::string story = story_of(static_cast<uint32_t>(seed), gateways, skew, 60);
    ASSERT_TRUE(story.empty()) << story;
  }
}

TEST(LedgerHistory, OfTwoGatewaysLeavesNothingOpenAndClosesNothingEarly) {
  play(1000, 2, Duration::zero());
}
TEST(LedgerHistory, OfFourGatewaysLeavesNothingOpenAndClosesNothingEarly) {
  play(500, 4, Duration::zero());
}
TEST(LedgerHistory, DeviatesByAtMostTheClockDifference) { play(500, 3, seconds(20)); }

}  // namespace
}  // namespace knockd
