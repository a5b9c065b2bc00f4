// SPDX-License-Identifier: MIT
// The codes that were used lately, here and at other gateways: of each secret and address family
// the last one here, which the others are told of, and the last one elsewhere, which the daemon
// here is told of. Kept for kLife, and of other gateways no more than their quota. Pure.
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
  // Other gateways hear of a code for so long.
  static constexpr Duration kLife = std::chrono::seconds(120);

  explicit SharedCodes(std::string gateway) : self_(std::move(gateway)) {}

  // One was used here. Without a broker the daemon does not wait until the others know of it.
  std::vector<FleetAction> used(const UsedCode& used, bool has_broker, Instant now);
  // The broker has it: what the daemon waited for.
  std::optional<FleetShared> published(uint64_t id);
  // Nobody will hear of those that the daemon still waits for.
  std::vector<FleetShared> broker_lost();
  // Those of here, for a broker that may not have them.
  std::vector<Publish> here(Instant now);

  // One was used at another gateway. Whether the daemon does not know of it yet; the error says why
  // it is refused.
  Result<bool> received(const Topic& topic, const CodeMessage& message, const Clocks& now);
  // For a daemon that knows of none.
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
  Instant forgotten_{};  // when old ones were last looked for
};

}  // namespace knockd
