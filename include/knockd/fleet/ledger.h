// SPDX-License-Identifier: MIT
// The state of a fleet and its rules; no rules are elsewhere. Events go in (from the local daemon,
// other gateways, the broker's connection, time), actions come out, without callbacks. Pure;
// tests/fleet/ledger_history_test.cpp compares random histories of a whole fleet with a simple
// model.
//
// The rules. A door is open for an address until the latest end of all holds: the local openings,
// and the message of each gateway, for at most the door's own Cmd_Timeout from its arrival. A
// message holds from its arrival to its end, unless it is closed or deleted. Each gateway writes
// one message for a door and address, of its own longest opening; openings from the fleet are never
// forwarded. A close by hand closes all openings known at that gateway: it sets a mark for each
// gateway, with the highest closed id, which lasts until those openings would have ended. Any other
// hold keeps the door open.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/fleet/clocks.h"
#include "knockd/fleet/daemon_facts.h"
#include "knockd/fleet/fleet_action.h"
#include "knockd/fleet/message.h"
#include "knockd/fleet/sender_quota.h"
#include "knockd/fleet/shared_codes.h"
#include "knockd/fleet/shared_place.h"
#include "knockd/fleet/topic.h"

namespace knockd {

class Ledger {
 public:
  Ledger(std::string gateway, std::set<std::string> doors)
      : self_(std::move(gateway)), doors_(std::move(doors)), codes_(self_) {}

  // The daemon's status; its events follow from now on.
  void daemon_is(const DaemonStatus& status, const Clocks& now);
  void daemon_lost();
  void opened(const LocalOpening& opening, const Clocks& now);  // or renewed
  void closed(const DoorAddress& at, uint64_t id, ClosedBy by, const Clocks& now);
  void code_used(const UsedCode& used, const Clocks& now);

  // Retained messages follow from now on.
  void broker_connected();
  // All retained messages have arrived.
  void broker_synced(const Clocks& now);
  void broker_lost();
  // `expiry`: the remaining one, from the broker.
  void received(const Topic& topic, std::string_view payload, std::optional<Duration> expiry,
                const Clocks& now);
  // A message that no genuine gateway sends.
  void received_garbage(std::string_view topic, const Clocks& now);
  void code_published(uint64_t id);

  // To be called at alarm().
  void time_passed(const Clocks& now);
  std::optional<Instant> alarm() const;

  std::vector<FleetAction> take_actions() { return std::exchange(actions_, {}); }
  size_t messages_kept() const { return quota_.all(); }
  size_t places_kept() const { return places_.size(); }

 private:
  enum class Broker : uint8_t { kAway, kSyncing, kSynced };

  using Places = std::map<DoorAddress, SharedPlace>;

  bool is_ready() const { return has_daemon_ && broker_ == Broker::kSynced; }
  void add_here(const LocalOpening& opening, const Clocks& now);
  void closed_by_fleet(Places::iterator at, const SharedPlace::Here& was, const Clocks& now);
  void closed_by_hand(Places::iterator at, const SharedPlace::Here& was, bool may_reopen,
                      const Clocks& now);
  void settle_all(const Clocks& now);
  void settle(Places::iterator at, const Clocks& now);
  void settle_retained(Places::iterator at, const Clocks& now);
  void share(Places::iterator at, const Clocks& now);
  void publish_own(Places::iterator at, const Clocks& now);
  void publish_close(Places::iterator at, const Clocks& now);
  void take_back(const DoorAddress& at, Topic::Kind kind);
  void reconcile(Places::iterator at, const Clocks& now);
  void receive_open(const Topic& topic, const OpenMessage& message, Instant end, const Clocks& now);
  void receive_own(const Topic& topic, const OpenMessage& message, const Clocks& now);
  void receive_close(const Topic& topic, const CloseMessage& message, Instant end,
                     const Clocks& now);
  void receive_code(const Topic& topic, const CodeMessage& message, const Clocks& now);
  void withdraw(const Topic& topic);
  void refuse(const std::string& what, const Clocks& now);
  void warn_of_doors();
  uint64_t next_id(const Clocks& now);
  void learn_own_id(uint64_t id);
  void schedule(Places::iterator at);
  void act(FleetAction action) { actions_.push_back(std::move(action)); }
  template <typename Action>
  void act_each(std::vector<Action> actions) {
    for (Action& action : actions) act(std::move(action));
  }

  const std::string self_;
  const std::set<std::string> doors_;
  bool has_daemon_ = false;
  Broker broker_ = Broker::kAway;
  std::map<std::string, DoorFacts> facts_;
  Places places_;
  std::set<std::pair<Instant, DoorAddress>> due_;
  SenderQuota quota_;  // of others' data in places
  SharedCodes codes_;
  uint64_t last_id_ = 0;
  uint64_t refused_ = 0;  // since the last log line
  std::optional<Instant> silent_until_;
  std::set<std::string> warned_of_;  // doors
  std::vector<FleetAction> actions_;
};

}  // namespace knockd
