// SPDX-License-Identifier: MIT
#include "knockd/fleet/shared_codes.h"

#include <chrono>

namespace knockd {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

// Accepted steps of codes.
constexpr Step kStepsAhead = 2;
constexpr Step kStepsBehind = 10;
constexpr Duration kBetweenForgetting = seconds(1);

}  // namespace

std::vector<FleetAction> SharedCodes::used(const UsedCode& used, bool has_broker, Instant now) {
  forget_old(now);
  std::vector<FleetAction> actions;
  const Key key{used.secret, used.code.address.is_v4()};
  Seen& seen = here_[key];
  if (seen.waits != 0) actions.push_back(FleetShared{seen.waits});  // one wait for each
  seen = {used.code, self_, now, has_broker ? used.id : 0};
  if (has_broker) {
    actions.push_back(publish(key, seen));
  } else {
    actions.push_back(FleetShared{used.id});
  }
  return actions;
}

std::optional<FleetShared> SharedCodes::published(uint64_t id) {
  for (auto& [key, seen] : here_) {
    if (id == 0 || seen.waits != id) continue;
    seen.waits = 0;
    return FleetShared{id};
  }
  return std::nullopt;
}

std::vector<FleetShared> SharedCodes::broker_lost() {
  std::vector<FleetShared> shared;
  for (auto& [key, seen] : here_) {
    if (seen.waits != 0) shared.push_back({std::exchange(seen.waits, 0)});
  }
  return shared;
}

std::vector<Publish> SharedCodes::here(Instant now) {
  forget_old(now);
  std::vector<Publish> published;
  for (const auto& [key, seen] : here_) published.push_back(publish(key, seen));
  return published;
}

Result<bool> SharedCodes::received(const Topic& topic, const CodeMessage& message,
                                   const Clocks& now) {
  const Step step = step_at(duration_cast<seconds>(now.wall).count());
  if (message.step > step + kStepsAhead) {
    return Fault{topic.gateway + " sent a code of a time to come"};
  }
  if (message.step < step - kStepsBehind) return false;
  forget_old(now.boot);
  const Key key{topic.secret, topic.is_v4};
  const auto known = elsewhere_.find(key);
  if (known != elsewhere_.end() && known->second.code.step >= message.step) return false;
  if (known != elsewhere_.end()) {
    quota_.forget(known->second.gateway);
  } else if (!quota_.has_room(topic.gateway)) {
    return Fault{topic.gateway + " has too many codes"};
  }
  quota_.count(topic.gateway);
  elsewhere_[key] = {message, topic.gateway, now.boot};
  return true;
}

std::vector<FleetUsed> SharedCodes::elsewhere() const {
  std::vector<FleetUsed> used;
  for (const auto& [key, seen] : elsewhere_) used.push_back({key.first, seen.code, seen.gateway});
  return used;
}

Publish SharedCodes::publish(const Key& key, const Seen& code) const {
  return {{Topic::Kind::kCode, self_, {}, key.first, key.second},
          to_json(code.code),
          static_cast<uint32_t>(kLife / seconds(1)),
          code.waits};
}

void SharedCodes::forget_old(Instant now) {
  if (now < forgotten_ + kBetweenForgetting) return;
  forgotten_ = now;
  const auto is_old = [&](const Seen& code) { return code.seen + kLife <= now; };
  std::erase_if(here_, [&](const auto& entry) { return is_old(entry.second); });
  std::erase_if(elsewhere_, [&](const auto& entry) {
    if (!is_old(entry.second)) return false;
    quota_.forget(entry.second.gateway);
    return true;
  });
}

}  // namespace knockd
