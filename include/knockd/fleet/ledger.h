// SPDX-License-Identifier: MIT
// What is open where, and what follows from that: the one place where a fleet's rules are. Events
// go in (what the daemon here does, what other gateways say, the broker comes and goes, time
// passes), actions come out, and nothing is called back. Pure; tests/fleet/ledger_history_test.cpp
// plays random histories of a whole fleet against a simple model.
//
// The rules. A door is open for an address until the latest end of all that hold it: the openings
// here, and the message of each gateway, for at most the door's own Cmd_Timeout from when it came.
// A message holds from its arrival to its end, unless it is closed or taken back. Each gateway
// writes one message for a door and address, of its own opening that lasts longest; what came from
// the fleet is never sent on. Closed by hand are all openings that are known where it is done: a
// mark for each gateway, up to the id, that lasts until they would have been over. What holds none
// the less keeps the door open.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/log.h"
#include "knockd/fleet/message.h"
#include "knockd/fleet/topic.h"

namespace knockd {

// Both clocks at one moment: what ends by ours, and what is said to others.
struct Clocks {
  Instant boot{};
  WallTime wall{};
};

// --- What the daemon says

struct LocalOpening {
  uint64_t id = 0;  // the daemon's; begins anew with the daemon
  DoorAddress place{};
  WallTime until{};
  std::string user{};
  bool by_fleet = false;  // opened, or lengthened, by our word
};

struct DoorFacts {
  Duration open_for{};  // its Cmd_Timeout
  bool closes = false;  // it has something to undo
};

struct DaemonStatus {
  std::map<std::string, DoorFacts> doors{};
  std::vector<LocalOpening> openings{};
};

enum class ClosedBy : uint8_t { kTime, kHand, kFleet, kShutdown };

struct UsedCode {
  uint64_t id = 0;  // of this use, by which the daemon waits for fleet-shared
  std::string secret{};
  CodeMessage code{};
};

// --- What is to be done

// A retained message; empty: the one that is there is taken back.
struct Publish {
  Topic topic{};
  std::string payload{};
  uint32_t expiry = 0;  // seconds; 0 with an empty payload
  uint64_t code = 0;    // code_published() is to be called for it; 0: not
};
struct FleetOpen {
  DoorAddress place{};
  Instant end{};
  std::string gateway{};
  std::string user{};
};
struct FleetClose {
  DoorAddress place{};
  std::string gateway{};
};
struct FleetUsed {
  std::string secret{};
  CodeMessage code{};
  std::string gateway{};
};
// Whether the daemon waits before a code opens.
struct FleetShare {
  bool share = false;
};
struct FleetShared {
  uint64_t id = 0;
};
struct Say {
  LogLevel level = LogLevel::kInfo;
  std::string text{};
};

using FleetAction =
    std::variant<Publish, FleetOpen, FleetClose, FleetUsed, FleetShare, FleetShared, Say>;

class Ledger {
 public:
  // Messages of others that are kept: more are refused, whoever sends them.
  static constexpr size_t kMost = 16384;
  static constexpr size_t kMostOfGateway = 4096;
  // Other gateways hear of a code for so long.
  static constexpr Duration kCodeLife = std::chrono::seconds(120);

  Ledger(std::string gateway, std::set<std::string> doors)
      : self_(std::move(gateway)), doors_(std::move(doors)) {}

  // The daemon was asked, and is followed from here on.
  void daemon_is(const DaemonStatus& status, const Clocks& now);
  void daemon_lost();
  void opened(const LocalOpening& opening, const Clocks& now);  // or renewed
  void closed(const DoorAddress& at, uint64_t id, ClosedBy by, const Clocks& now);
  void code_used(const UsedCode& used, const Clocks& now);

  // What is retained there comes from here on.
  void broker_connected();
  // All that was retained has come.
  void broker_synced(const Clocks& now);
  void broker_lost();
  // `expiry`: what the broker says is left of it.
  void received(const Topic& topic, std::string_view payload, std::optional<Duration> expiry,
                const Clocks& now);
  // A message that no gateway of ours would send.
  void received_garbage(std::string_view topic, const Clocks& now);
  void code_published(uint64_t id);

  // To be called at alarm().
  void time_passed(const Clocks& now);
  std::optional<Instant> alarm() const;

  std::vector<FleetAction> take_actions() { return std::exchange(actions_, {}); }
  size_t messages_kept() const { return kept_.all; }
  size_t codes_kept() const { return codes_there_.size(); }
  size_t places_kept() const { return places_.size(); }

 private:
  enum class Broker : uint8_t { kAway, kSyncing, kSynced };

  // An opening at the daemon here.
  struct Here {
    WallTime until{};
    Instant end{};
    Instant own_end{};  // what it had before the fleet lengthened it
    std::string user;
    bool by_fleet = false;
  };
  // The message of another gateway.
  struct Held {
    uint64_t id = 0;
    WallTime until{};
    Instant end{};
    Instant since{};
    std::string user;
  };
  // Our own message.
  struct Own {
    OpenMessage message;
    Instant end{};
    uint64_t opening = 0;    // of the daemon; 0: it has none any more
    bool published = false;  // since the broker is connected
  };
  // Closed are all openings of a gateway up to this id.
  struct Mark {
    uint64_t id = 0;
    Instant end{};
    std::string closer;
  };
  // All that is known of a door and address.
  struct Place {
    std::map<uint64_t, Here> here;
    std::map<std::string, Held> held;
    std::optional<Own> own;
    std::optional<OpenMessage> retained;  // our own message as the broker has it, while it syncs
    std::map<std::string, Mark> marks;
    std::optional<WallTime> closed_until;  // closed by hand here: until when that is to be known
    std::string closer;                    // a close waits until nothing holds; empty: none does
    std::string closing;                   // by whose word the daemon was asked to close it
    Instant closing_end{};                 // when that would have been over anyway
    WallTime shut{};                       // until of our own opening that was closed
    Instant asked{};                       // the daemon was asked to keep it open until then
    std::optional<Instant> due;            // in due_
  };
  using Places = std::map<DoorAddress, Place>;
  struct Hold {
    Instant end{};
    std::string gateway{};
    std::string user{};
  };
  struct SeenCode {
    CodeMessage code;
    std::string gateway;
    Instant seen{};
    uint64_t waits = 0;  // the daemon waits for this id
  };
  using CodeKey = std::pair<std::string, bool>;  // the secret, and whether over IPv4
  // What is kept of other gateways, by their names: none takes all the room.
  struct Kept {
    std::map<std::string, size_t> of;
    size_t all = 0;

    bool has_room(const std::string& gateway) const;
    void count(const std::string& gateway);
    void forget(const std::string& gateway);
  };

  bool is_ready() const { return has_daemon_ && broker_ == Broker::kSynced; }
  void add_here(const LocalOpening& opening, const Clocks& now);
  void settle_all(const Clocks& now);
  void settle(Places::iterator at, const Clocks& now);
  void settle_retained(Places::iterator at, const Clocks& now);
  void share(Places::iterator at, const Clocks& now);
  void publish_own(Places::iterator at, const Clocks& now);
  void publish_close(Places::iterator at, const Clocks& now);
  void take_back(const DoorAddress& at, Topic::Kind kind);
  void reconcile(Places::iterator at, const Clocks& now);
  static bool is_shut(const Place& place, const Here& here);
  Hold longest_hold(const Place& place, Duration open_for) const;
  void receive_open(const Topic& topic, const OpenMessage& message, Instant end, const Clocks& now);
  void receive_own(const Topic& topic, const OpenMessage& message, const Clocks& now);
  void receive_close(const Topic& topic, const CloseMessage& message, Instant end,
                     const Clocks& now);
  void receive_code(const Topic& topic, const CodeMessage& message, const Clocks& now);
  void mark(Place& place, const std::string& gateway, const Mark& mark);
  bool is_closed(const Place& place, const std::string& gateway, uint64_t id) const;
  void withdraw(const Topic& topic);
  void publish_code(const CodeKey& key, const SeenCode& code);
  void forget_codes(Instant now);
  void refuse(const std::string& what, const Clocks& now);
  void warn_of_doors();
  uint64_t next_id(const Clocks& now);
  void learn_own_id(uint64_t id);
  void schedule(Places::iterator at);
  void act(FleetAction action) { actions_.push_back(std::move(action)); }

  const std::string self_;
  const std::set<std::string> doors_;
  bool has_daemon_ = false;
  Broker broker_ = Broker::kAway;
  std::map<std::string, DoorFacts> facts_;
  Places places_;
  std::set<std::pair<Instant, DoorAddress>> due_;
  std::map<CodeKey, SeenCode> codes_here_;
  std::map<CodeKey, SeenCode> codes_there_;
  Instant codes_forgotten_{};  // when old ones were last looked for
  Kept kept_;
  Kept kept_codes_;
  uint64_t last_id_ = 0;
  uint64_t refused_ = 0;  // since that was last said
  std::optional<Instant> silent_until_;
  std::set<std::string> warned_of_;  // doors
  std::vector<FleetAction> actions_;
};

}  // namespace knockd
