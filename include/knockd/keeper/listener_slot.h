// SPDX-License-Identifier: MIT
// One wanted interface: the listener on it, or the wait for one. Has the state and the pause after
// a failure; listener_slots acts on it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/growing_pause.h"
#include "knockd/control/status_report.h"
#include "knockd/keeper/listener_process.h"

namespace knockd {

struct ListenerSlot {
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);
  static constexpr Duration kLongestPause = std::chrono::seconds(10);

  // What listeners that have ended counted, as far as they reported it.
  struct Past {
    uint64_t packets = 0;
    uint64_t lost = 0;

    void add(const ListenerStatus& status) {
      packets += status.packets;
      lost += status.dropped;
    }
  };

  std::string interface;
  uint32_t index = 0;  // of the interface that the process listens on; 0: "any"
  std::unique_ptr<ListenerProcess> process{};
  std::vector<IpAddress> addresses{};  // last sent to the process
  std::vector<std::string> doors{};    // by their numbers there
  bool listening = false;
  bool listened = false;      // the process did, once
  bool settled = false;       // listening, or known to wait
  std::string waiting_for{};  // the last reported reason
  bool filter_refused = false;
  LinkType link_type = LinkType::kEthernet;
  Past past{};
  ListenerStatus counts{};  // as last reported
  Instant counted{};        // when that was
  bool is_asked = false;    // a request is unanswered
  bool dismissed = false;   // the process is useless; ended in the next turn
  Instant listening_since{};
  GrowingPause pause{kFirstPause, kLongestPause};  // before the next try
  uint64_t lost_knocks = 0;  // complete ones, dropped for lack of room; not logged yet
  Instant lost_reported{};   // when they were last logged
  std::optional<Instant> retry_at{};

  // Has no process any more.
  void stop();
  // The listener has begun to listen.
  void listens(Instant now);
  // The process is useless; starts another after a pause of at most `longest`.
  void retry_later(Instant now, Duration longest = kLongestPause);
  bool may_start(Instant now) const { return !retry_at || *retry_at <= now; }
  // For the status.
  InterfaceReport report(Instant now) const;
};

}  // namespace knockd
