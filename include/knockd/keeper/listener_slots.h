// SPDX-License-Identifier: MIT
// One slot for each wanted interface: a listener on it, or the wait for it. Follows the network,
// starts and ends listeners, and starts another for one that ends, with growing pauses. What the
// listeners hear is handed on; what it means is the owner's business.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/log.h"
#include "knockd/base/result.h"
#include "knockd/control/status_report.h"
#include "knockd/keeper/echo_filter.h"
#include "knockd/keeper/interface_monitor.h"
#include "knockd/keeper/listener_process.h"

namespace knockd {

class ListenerSlots : ListenerProcess::Owner {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // What a new listener is to know, apart from its interface and addresses.
    virtual ListenerSettings listener_settings() const = 0;
    // Whether this door is knocked at by packets to another host.
    virtual bool is_forwarded(DoorNumber rule) const = 0;
    // An event that was heard on this interface, once, on however many interfaces it was heard.
    virtual void on_event(const KnockEvent& event, const std::string& interface) = 0;
    virtual void on_explanation(const Explanation& explanation) = 0;
    virtual void on_lines_left_out(uint64_t lines) = 0;
    // Counts of a door since the listener was last asked.
    virtual void on_count(const DoorCount& count) = 0;
    // All that were asked have answered.
    virtual void on_counted() = 0;
    // Listens on it if the text is empty; else why not.
    virtual void on_interface(const std::string& interface, const std::string& waits_because) = 0;
    // Interfaces came, went or changed.
    virtual void on_network() = 0;
    // Each slot has a listener that listens, or is known to wait for its interface.
    virtual void on_settled() = 0;
    // The rights for any listener are missing.
    virtual void on_no_rights(const std::string& why) = 0;
    // In the process of a new listener, which has a copy of all memory.
    virtual void in_child() = 0;
  };

  ListenerSlots(EventLoop& loop, Log& log, ListenerEntry entry, Owner& owner);
  ~ListenerSlots() override;

  // Begins to follow the network. Nothing works without.
  Status begin();
  // The interfaces to listen on; if none is named, eth0 if there is one, else the device of the
  // default route. Of IPv6 nothing is heard with `only_v4`.
  void choose(const std::vector<std::string>& named, bool only_v4);
  const std::vector<std::string>& interfaces() const { return interfaces_; }
  // The devices by which packets come in that are heard there; empty: any.
  std::vector<std::string> entrances() const { return monitor_.entrances(interfaces_); }

  // Starts the first listeners.
  void start() {
    update();
    follow_network();
  }
  // Starts and ends listeners as the network and the chosen interfaces need.
  void update();
  // After a reload: ends all listeners because their rules changed (`all`), or only those that do
  // not listen yet. update() starts others.
  void renew(bool all) {
    std::erase_if(slots_, [&](const auto& slot) { return all || !slot->listening; });
  }
  // From now on logs when it begins to listen on an interface.
  void announce() { announces_ = true; }
  // Ends all listeners, for good. Not to be called from the owner's on_ functions.
  void stop() {
    stopped_ = true;
    slots_.clear();
  }

  void send(const ToListener& message);
  // Asks each listener for its counts; on_counted() follows unless one is silent. False: there is
  // none to ask.
  bool ask();
  // As they were last told.
  std::vector<InterfaceReport> report() const;
  // To be called for each child that has ended and is nobody else's.
  void reaped(pid_t pid, int status);

 private:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);
  static constexpr Duration kLongestPause = std::chrono::seconds(10);
  // A listener that ends sooner than this goes on with the series of those before it.
  static constexpr Duration kLongLife = std::chrono::minutes(1);

  struct Slot {
    std::string interface;
    uint32_t index = 0;  // of the interface that the process listens on; 0: "any"
    std::unique_ptr<ListenerProcess> process;
    std::vector<IpAddress> addresses;  // as the process was told last
    bool listening = false;
    bool settled = false;     // listening, or told that it must wait
    std::string waiting_for;  // what was last said about that
    bool filter_refused = false;
    LinkType link_type = LinkType::kEthernet;
    ListenerStatus counts;   // as it said last
    Instant counted;         // when that was
    bool is_asked = false;   // and has not answered
    bool dismissed = false;  // the process is of no more use; ended at the next turn
    Instant listening_since;
    GrowingPause pause{kFirstPause, kLongestPause};  // before the next try
    uint64_t lost_knocks = 0;  // complete, but there was no room for them; not logged yet
    Instant lost_reported{};   // when such were logged last
    std::optional<Instant> retry_at;
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

  void follow_network();
  void update(Slot& slot);
  void start_listener(Slot& slot, uint32_t index, std::vector<IpAddress> addresses);
  void stop_listener(Slot& slot);
  void wait_for(Slot& slot, const std::string& why, const std::string& details = "");
  void retry_later(Slot& slot, Duration longest = kLongestPause);
  void fail(const std::string& why);
  void report_if_settled();
  void report_lost_knocks();
  std::vector<IpAddress> addresses_on(const Slot& slot, uint32_t index) const;
  bool is_named(const std::string& interface) const;
  Slot* slot_of(const ListenerProcess& process);
  std::string interface_name(const Slot& slot, const KnockEvent& event) const;
  bool is_echo(const Slot& slot, const KnockEvent& event);

  EventLoop& loop_;
  Log& log_;
  const ListenerEntry entry_;
  ListenerSlots::Owner& owner_;
  InterfaceMonitor monitor_;
  EchoFilter echo_filter_;
  std::vector<std::string> interfaces_;
  std::vector<std::unique_ptr<Slot>> slots_;
  bool only_v4_ = false;
  bool announces_ = false;
  bool stopped_ = false;
  EventLoop::Alarm retry_;    // of listeners that failed
  EventLoop::Alarm picture_;  // of the network, taken anew after it failed
  EventLoop::Alarm lost_;     // knocks, to be reported
};

}  // namespace knockd
