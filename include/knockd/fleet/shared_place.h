// SPDX-License-Identifier: MIT
// A gateway's state of one door and address: the openings of the local daemon, the messages that
// hold it open, and closes by hand. Answers queries and removes what has expired; the ledger acts
// on it. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/fleet/message.h"
#include "knockd/fleet/sender_quota.h"

namespace knockd {

// Whether these are ends of one opening, reported before and after a restart.
bool is_same_end(WallTime one, WallTime other);

struct SharedPlace {
  // An opening of the local daemon.
  struct Here {
    WallTime until{};
    Instant end{};
    Instant own_end{};  // before the fleet prolonged it
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
    uint64_t opening = 0;    // of the daemon; 0: it has ended
    bool published = false;  // since the broker connected
  };
  // All openings of a gateway up to this id are closed.
  struct Mark {
    uint64_t id = 0;
    Instant end{};
    std::string closer;
  };
  // The hold that lasts longest.
  struct Hold {
    Instant end{};
    std::string gateway{};
    std::string user{};
  };

  // One end by both clocks.
  struct End {
    WallTime until{};
    Instant boot{};
  };

  std::map<uint64_t, Here> here;
  std::map<std::string, Held> held;  // by gateway; each counted in the quota
  std::optional<Own> own;
  std::optional<OpenMessage> retained;   // our own message at the broker, during the sync
  std::map<std::string, Mark> marks;     // by gateway; each counted for the closer
  std::optional<WallTime> closed_until;  // closed by hand here: how long to remember that
  std::string closer;                    // a close waits until nothing holds; empty: no close
  std::string closing;                   // who requested the close from the daemon
  Instant closing_end{};                 // when that would have ended anyway
  WallTime shut{};                       // `until` of our own closed opening
  Instant asked{};                       // until when the daemon must keep it open
  std::optional<Instant> due;            // when the ledger must check it next

  bool is_closed(const std::string& gateway, uint64_t id) const;
  // Whether it is the opening closed elsewhere; a renewal lasts longer.
  bool is_shut(const Here& opening) const;
  // The longest local opening that is not the fleet's.
  std::optional<uint64_t> longest_here(WallTime now) const;
  // Others hold it for at most `open_for` from the arrival of their message. `self`: our own name.
  Hold longest_hold(Duration open_for, const std::string& self) const;
  // Until when the local daemon has it open, or was requested to.
  Instant open_until() const;
  // When the next part of this ends.
  std::optional<Instant> next_end() const;
  bool is_empty() const { return !next_end() && here.empty() && !retained; }

  // The last end of all holds and our own, at least `least`.
  End last_end(End least) const;

  void mark(const std::string& gateway, const Mark& mark, SenderQuota& quota);
  // Closes all present holds.
  void mark_held(const std::string& by, Instant end, SenderQuota& quota);
  // Removes a gateway's hold unless its id is later than this one.
  void release(const std::string& gateway, uint64_t id, SenderQuota& quota);
  void forget_over(Instant now, SenderQuota& quota);
};

}  // namespace knockd
