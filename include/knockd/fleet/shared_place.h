// SPDX-License-Identifier: MIT
// All that a gateway knows of one door and address: what is open at the daemon here, which messages
// hold it open, and what was closed by hand. Answers questions and forgets what is over; what
// follows from it is the ledger's business. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/fleet/message.h"
#include "knockd/fleet/sender_quota.h"

namespace knockd {

// Whether these are ends of one opening, as told before and after a restart.
bool is_same_end(WallTime one, WallTime other);

struct SharedPlace {
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
  // What holds it open for longest.
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
  std::map<std::string, Held> held;  // by the gateway; each is counted in the quota
  std::optional<Own> own;
  std::optional<OpenMessage> retained;   // our own message as the broker has it, while it syncs
  std::map<std::string, Mark> marks;     // likewise; each is counted for who has closed
  std::optional<WallTime> closed_until;  // closed by hand here: until when that is to be known
  std::string closer;                    // a close waits until nothing holds; empty: none does
  std::string closing;                   // by whose word the daemon was asked to close it
  Instant closing_end{};                 // when that would have been over anyway
  WallTime shut{};                       // until of our own opening that was closed
  Instant asked{};                       // the daemon was asked to keep it open until then
  std::optional<Instant> due;            // when the ledger is to look at it next

  bool is_closed(const std::string& gateway, uint64_t id) const;
  // Whether it is the one that somebody has closed elsewhere; a renewal lasts longer.
  bool is_shut(const Here& opening) const;
  // The opening here that lasts longest, of those that are not the fleet's.
  std::optional<uint64_t> longest_here(WallTime now) const;
  // Others hold it for at most `open_for` from when their message came. `self`: our own name.
  Hold longest_hold(Duration open_for, const std::string& self) const;
  // Until when the daemon here has it open, or was asked to.
  Instant open_until() const;
  // When the next of all this is over.
  std::optional<Instant> next_end() const;
  bool is_empty() const { return !next_end() && here.empty() && !retained; }

  // When the last of what is held and of our own is over, but not before `least`.
  End last_end(End least) const;

  void mark(const std::string& gateway, const Mark& mark, SenderQuota& quota);
  // All that is held until now is closed.
  void mark_held(const std::string& by, Instant end, SenderQuota& quota);
  // What a gateway holds is over, if it is not later than this id.
  void release(const std::string& gateway, uint64_t id, SenderQuota& quota);
  void forget_over(Instant now, SenderQuota& quota);
};

}  // namespace knockd
