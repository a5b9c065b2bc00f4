// SPDX-License-Identifier: MIT
// Recently used codes, here and at other gateways. For each secret and address family it has the
// last local one, which is sent to the others, and the last one from elsewhere, which is sent to
// the local daemon. Kept for kLife; those of other gateways within their quota. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/result.h"
#include "knockd/fleet/clocks.h"
#include "knockd/fleet/daemon_facts.h"
#include "knockd/fleet/fleet_action.h"
#include "knockd/fleet/sender_quota.h"

namespace knockd {

class SharedCodes {
 public:
  // How long a code is kept and published.
  static constexpr Duration kLife = std::chrono::seconds(120);

  explicit SharedCodes(std::string gateway) : self_(std::move(gateway)) {}

  // A code was used here. Without a broker the daemon does not wait for the others.
  std::vector<FleetAction> used(const UsedCode& used, bool has_broker, Instant now);
  // The broker has the code; returns what the daemon waits for.
  std::optional<FleetShared> published(uint64_t id);
  // Returns the codes that the daemon still waits for; they cannot be published.
  std::vector<FleetShared> broker_lost();
  // The local codes, for a broker that may not have them.
  std::vector<Publish> here(Instant now);

  // A code was used at another gateway. Whether it is new to the daemon; the error says why it is
  // refused.
  Result<bool> received(const Topic& topic, const CodeMessage& message, const Clocks& now);
  // The codes from elsewhere, for a new daemon.
  std::vector<FleetUsed> elsewhere() const;

  size_t kept() const { return elsewhere_.size(); }

 private:
  struct Seen {
    CodeMessage code;
    std::string gateway;
    Instant seen{};
    uint64_t waits = 0;  // the daemon waits for this id
  };
  using Key = std::pair<std::string, bool>;  // the secret, and whether over IPv4

  Publish publish(const Key& key, const Seen& code) const;
  void forget_old(Instant now);

  const std::string self_;
  std::map<Key, Seen> here_;
  std::map<Key, Seen> elsewhere_;
  SenderQuota quota_;
  Instant forgotten_{};  // when old ones were last removed
};

}  // namespace knockd
