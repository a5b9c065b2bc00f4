// SPDX-License-Identifier: MIT
// Connects the parts of knockd-fleet: passes events of the daemon and the broker to the ledger, and
// carries out its actions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/fleet/broker.h"
#include "knockd/fleet/daemon_link.h"
#include "knockd/fleet/fleet_config.h"
#include "knockd/fleet/ledger.h"

namespace knockd {

class Fleet : private DaemonLink::Owner, private Broker::Owner {
 public:
  // `config` must outlive this.
  Fleet(EventLoop& loop, Log& log, const FleetConfig& config);

  void start();
  void stop();

 private:
  void on_daemon(const DaemonStatus& status) override;
  void on_daemon_lost() override;
  void on_event(const DaemonEvent& event) override;
  void on_connected() override;
  void on_lost() override;
  void on_message(std::string_view topic, std::string_view payload,
                  std::optional<Duration> expiry) override;
  void on_published(uint64_t token) override;

  void on_mark(std::string_view mark);
  void all_has_come();
  void time_passed();
  void carry_out();
  void act(const Publish& publish);
  void act(const FleetShare& share);
  void act(const Say& say);
  template <typename Request>
  void act(const Request& request);

  EventLoop& loop_;
  Log& log_;
  const FleetConfig& config_;
  Ledger ledger_;
  DaemonLink daemon_;
  Broker broker_;
  EventLoop::Alarm alarm_;
  EventLoop::Alarm sync_;  // the mark after the retained messages may be lost
  const std::string run_;  // identifies our marks
  std::string mark_{};     // of this connection
  unsigned connects_ = 0;  // so far
};

}  // namespace knockd
