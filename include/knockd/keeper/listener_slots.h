// SPDX-License-Identifier: MIT
// One slot for each wanted interface: a listener on it, or the wait for it. Follows the network,
// starts and ends listeners, and replaces those that end, with growing pauses. Passes the
// listeners' events to the owner.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/base/result.h"
#include "knockd/control/status_report.h"
#include "knockd/keeper/echo_filter.h"
#include "knockd/keeper/interface_monitor.h"
#include "knockd/keeper/listener_process.h"
#include "knockd/keeper/listener_slot.h"
#include "knockd/keeper/wanted_interfaces.h"

namespace knockd {

class ListenerSlots : ListenerProcess::Owner {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // The settings of a new listener, except its interface and addresses.
    virtual ListenerSettings listener_settings() const = 0;
    // Whether knocks at this door are packets to another host.
    virtual bool is_forwarded(DoorNumber rule) const = 0;
    // An event on this interface; called once even if several interfaces reported it.
    virtual void on_event(const KnockEvent& event, const std::string& interface) = 0;
    virtual void on_explanation(const Explanation& explanation) = 0;
    virtual void on_lines_left_out(uint64_t lines) = 0;
    // Names of the doors, in the order of their numbers in new listeners.
    virtual std::vector<std::string> door_names() const = 0;
    // Counts of a door since the listener was last asked; a reload may have removed the door.
    virtual void on_count(const std::string& door, const DoorCount& count) = 0;
    // All asked listeners have answered.
    virtual void on_counted() = 0;
    // `waits_because` is empty if a listener runs on it; else the reason.
    virtual void on_interface(const std::string& interface, const std::string& waits_because) = 0;
    // Interfaces were added, removed or changed.
    virtual void on_network() = 0;
    // Each slot has a listener that listens, or is known to wait.
    virtual void on_settled() = 0;
    // Privileges that every listener needs are missing.
    virtual void on_no_rights(const std::string& why) = 0;
    // Called in the process of a new listener, which has a copy of all memory.
    virtual void in_child() = 0;
  };

  ListenerSlots(EventLoop& loop, Log& log, ListenerEntry entry, Owner& owner);
  ~ListenerSlots() override;

  // Begins to follow the network. To be called first.
  Status begin();
  // Sets the interfaces to listen on; if none is named, eth0 if it exists, else the device of the
  // default route. Ignores IPv6 with `only_v4`.
  void choose(const std::vector<std::string>& named, bool only_v4);
  const std::vector<std::string>& interfaces() const { return wanted_.names(); }
  // The input devices of packets captured there; empty: any.
  std::vector<std::string> entrances() const { return monitor_.entrances(wanted_.names()); }

  // Starts the first listeners.
  void start() {
    update();
    follow_network();
  }
  // Starts and ends listeners as the network and the chosen interfaces need.
  void update();
  // After a reload: ends all listeners because their rules changed (`all`), or only those that do
  // not listen yet. update() starts others.
  void renew(bool all);
  // From now on logs each start of listening on an interface.
  void announce() { announces_ = true; }
  // Ends all listeners permanently. Not to be called from the owner's on_ functions.
  void stop() {
    stopped_ = true;
    slots_.clear();
    leaving_.clear();
  }

  void send(const ToListener& message);
  // Asks each listener for its counts; on_counted() follows unless one is silent. False: no
  // listeners.
  bool ask();
  // As last reported.
  std::vector<InterfaceReport> report() const;
  // To be called for each ended child that belongs to no other owner.
  void reaped(pid_t pid, int status);

 private:
  using Slot = ListenerSlot;

  // A listener that is no longer needed, until it has sent its last counts.
  struct Leaving {
    std::string interface;
    std::vector<std::string> doors;  // by their numbers there
    std::unique_ptr<ListenerProcess> process;
    ListenerStatus counts;  // already added to the past of its interface
    Instant end;            // when it is ended without an answer
  };

  void on_message(ListenerProcess& from, const FromListener& message) override;
  void on_gone(ListenerProcess& from, int status) override;
  void in_child() override { owner_.in_child(); }
  void on_report(Slot& slot, const Listening& message);
  void on_report(Slot& slot, const KnockEvent& event);
  void on_report(Slot& slot, const Explanation& explanation);
  void on_report(Slot& slot, const LeftOut& left_out);
  void on_report(Slot& slot, const Trouble& trouble);
  void on_report(Slot& slot, const ListenerStatus& status);
  void on_report(Slot& slot, const DoorCounts& counts);
  void on_last_words(Leaving& leaving, const FromListener& message);

  std::string interface_to_choose();
  void follow_network();
  void update(Slot& slot);
  void start_listener(Slot& slot, uint32_t index, std::vector<IpAddress> addresses);
  void stop_listener(Slot& slot);
  void let_leave(Slot& slot);
  void send_off();
  void add_counts(const std::vector<std::string>& doors, const DoorCounts& counts);
  void wait_for(Slot& slot, const std::string& why, const std::string& details = "");
  void retry_later(Slot& slot, Duration longest = Slot::kLongestPause);
  void fail(const std::string& why);
  void report_if_settled();
  void report_lost_knocks();
  Slot* slot_of(const ListenerProcess& process);
  Leaving* leaving_of(const ListenerProcess& process);
  std::string interface_name(const Slot& slot, const KnockEvent& event) const;
  bool is_echo(const Slot& slot, const KnockEvent& event);

  EventLoop& loop_;
  Log& log_;
  const ListenerEntry entry_;
  ListenerSlots::Owner& owner_;
  InterfaceMonitor monitor_;
  EchoFilter echo_filter_;
  WantedInterfaces wanted_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Leaving> leaving_;
  bool announces_ = false;
  bool stopped_ = false;
  EventLoop::Alarm retry_;     // of listeners that failed
  EventLoop::Alarm picture_;   // retries the picture of the network
  EventLoop::Alarm lost_;      // knocks, to be reported
  EventLoop::Alarm farewell_;  // of listeners that leave
};

}  // namespace knockd
