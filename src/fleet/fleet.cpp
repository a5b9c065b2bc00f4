// SPDX-License-Identifier: MIT
#include "knockd/fleet/fleet.h"

#include <sys/random.h>

#include <utility>
#include <variant>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr Duration kLongestSync = std::chrono::seconds(1);

constexpr uint32_t kMarkLife = 3600;  // seconds

// Unique to this run.
std::string draw_run() {
  uint64_t number = 0;
  if (getrandom(&number, sizeof(number), 0) != sizeof(number)) number = 0;
  return format("%016jx", uintmax_t{number});
}

Clocks clocks_now() { return {BootClock::now(), wall_now()}; }

}  // namespace

Fleet::Fleet(EventLoop& loop, Log& log, const FleetConfig& config)
    : loop_(loop),
      log_(log),
      config_(config),
      ledger_(config.gateway, config.doors),
      daemon_(loop, log, config.control, *this),
      broker_(loop, log, config, *this),
      alarm_(loop, [this] { time_passed(); }),
      sync_(loop, [this] { all_has_come(); }),
      run_(draw_run()) {}

void Fleet::start() {
  daemon_.start();
  broker_.start();
}

void Fleet::stop() { broker_.stop(); }

// --- The daemon ----------------------------------------------------------------------------------

void Fleet::on_daemon(const DaemonStatus& status) {
  ledger_.daemon_is(status, clocks_now());
  carry_out();
}

void Fleet::on_daemon_lost() {
  ledger_.daemon_lost();
  carry_out();
}

void Fleet::on_event(const DaemonEvent& event) {
  const Clocks now = clocks_now();
  if (const auto* opening = std::get_if<LocalOpening>(&event)) {
    ledger_.opened(*opening, now);
  } else if (const auto* closed = std::get_if<DaemonClosed>(&event)) {
    ledger_.closed(closed->place, closed->id, closed->by, now);
  } else if (const auto* used = std::get_if<UsedCode>(&event)) {
    ledger_.code_used(*used, now);
  }
  carry_out();
}

// --- The broker ----------------------------------------------------------------------------------

void Fleet::on_connected() {
  ledger_.broker_connected();
  carry_out();
  broker_.subscribe(topic_filters(config_.fleet, config_.gateway, config_.doors));
  // Comes back after all retained messages. A twin that connects next also finds it: not every
  // broker reports that a session was taken over.
  mark_ = run_ + format("-%u", ++connects_);
  broker_.publish(
      {to_text(config_.fleet, {Topic::Kind::kSync, config_.gateway}), mark_, true, kMarkLife});
  sync_.set(loop_.now() + kLongestSync);
}

void Fleet::on_lost() {
  sync_.set(std::nullopt);
  ledger_.broker_lost();
  carry_out();
}

void Fleet::all_has_come() {
  sync_.set(std::nullopt);
  ledger_.broker_synced(clocks_now());
  carry_out();
}

void Fleet::on_message(std::string_view text, std::string_view payload,
                       std::optional<Duration> expiry) {
  const auto topic = parse_topic(config_.fleet, text);
  if (topic && topic->kind == Topic::Kind::kSync) return on_mark(payload);
  if (!topic || payload.size() > kLongestMessage) {
    ledger_.received_garbage(text, clocks_now());
  } else {
    ledger_.received(*topic, payload, expiry, clocks_now());
  }
  carry_out();
}

void Fleet::on_mark(std::string_view mark) {
  if (mark == mark_) return all_has_come();
  // At the first connection it may be from an earlier run.
  if (connects_ > 1 && !mark.starts_with(run_)) broker_.name_twin();
}

void Fleet::on_published(uint64_t token) {
  ledger_.code_published(token);
  carry_out();
}

// --- What follows --------------------------------------------------------------------------------

void Fleet::time_passed() {
  ledger_.time_passed(clocks_now());
  carry_out();
}

void Fleet::carry_out() {
  for (const FleetAction& action : ledger_.take_actions()) {
    std::visit([this](const auto& what) { act(what); }, action);
  }
  alarm_.set(ledger_.alarm());
}

void Fleet::act(const Publish& publish) {
  broker_.publish(
      {to_text(config_.fleet, publish.topic), publish.payload, true, publish.expiry, publish.code});
}

void Fleet::act(const FleetShare& share) { daemon_.share(share.share); }

void Fleet::act(const Say& say) { log_.write(say.level, say.text); }

template <typename Request>
void Fleet::act(const Request& request) {
  daemon_.ask(request);
}

}  // namespace knockd
