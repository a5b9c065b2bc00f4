// SPDX-License-Identifier: MIT
// The process that the user started, after reading its configuration: follows the interfaces, keeps
// a listener on each, acts on their reports, handles signals, and ends in order.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/log.h"
#include "knockd/base/result.h"
#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/door_terms.h"
#include "knockd/keeper/chronicle.h"
#include "knockd/keeper/code_book.h"
#include "knockd/keeper/code_sharing.h"
#include "knockd/keeper/control.h"
#include "knockd/keeper/door_keeper.h"
#include "knockd/keeper/door_sequences.h"
#include "knockd/keeper/line_rate.h"
#include "knockd/keeper/listener_slots.h"
#include "knockd/keeper/orderly_exit.h"
#include "knockd/keeper/pid_file.h"
#include "knockd/keeper/resolver.h"
#include "knockd/keeper/shut_ports.h"

namespace knockd {

// Options of the command line; they override the configuration, also after a reload.
struct KeeperOptions {
  std::vector<std::string> interfaces;
  std::string log_file;
  std::string pid_file;
  bool daemon = false;  // with a pid file; detaches from the terminal when ready
  bool verbose = false;
  bool debug = false;
  bool lookup = false;
  bool only_v4 = false;
};

class Keeper : ListenerSlots::Owner, Control::Owner {
 public:
  // Reads the configuration again.
  using Reload = std::function<Result<Config, ConfigError>()>;
  // Called once, when each interface has a listener or is known to be missing.
  using Ready = std::function<void()>;

  Keeper(Config config, KeeperOptions options, ListenerEntry entry, Reload reload, Ready ready);
  ~Keeper() override;

  // Runs until a signal ends it. Returns the exit status.
  int run();

  // The wanted interfaces, present or not.
  const std::vector<std::string>& interfaces() const { return slots_.interfaces(); }

  // Used instead of run() with a faulty configuration: closes the recorded doors that are due, and
  // leaves the others to the next start. Does nothing if a knockd is running.
  void close_what_is_due();

 private:
  ListenerSettings listener_settings() const override;
  bool is_forwarded(DoorNumber rule) const override;
  void on_event(const KnockEvent& event, const std::string& interface) override;
  void on_explanation(const Explanation& explanation) override;
  void on_lines_left_out(uint64_t lines) override;
  std::vector<std::string> door_names() const override;
  void on_count(const std::string& door, const DoorCount& count) override;
  void on_counted() override { control_.on_counted(); }
  void on_interface(const std::string& interface, const std::string& waits_because) override;
  void on_network() override;
  void on_settled() override;
  void on_no_rights(const std::string& why) override;
  void in_child() override { forget_secrets(); }
  bool ask_listeners() override { return slots_.ask(); }
  StatusReport status() const override;
  void log_status(const StatusReport& report) override;
  Result<OpenedByHand> open_by_hand(const AskOpen& open, uid_t user) override;
  ClosedByHand close_by_hand(const Selection& selection, uid_t user) override;
  bool is_open(uint64_t opening) const override;
  Answer fleet_open(const AskFleetOpen& ask) override;
  Answer fleet_close(const AskFleetClose& ask) override;
  Answer fleet_used(const AskFleetUsed& ask) override;
  void share_codes(bool share) override { sharing_.share(share); }
  void code_shared(uint64_t id) override { sharing_.shared(id); }
  Result<std::shared_ptr<Terms>> terms_of(const std::string& door, const IpAddress& source) const;
  std::string marks_of_config() const;
  void knocked(const KnockEvent& event, const std::string& interface);
  bool has_codes(DoorNumber door) const;
  bool may_open(CompleteKnock& knock, DoorNumber door, const KnockEvent& event);
  uint32_t generation(DoorNumber door) const;
  std::optional<Knock> expected(const KnockEvent& event) const;
  const DoorRules& rules() const { return sequences_.rules(); }

  Status set_up();
  void forget_secrets();
  void open_log();
  bool take_pid_file();
  void on_signal(int signal);
  void reap();
  void reload();
  void open_control();
  void begin_shutdown();

  ShutTable shut_table() const;
  void choose_interfaces();
  std::string name_source(const IpAddress& source);

  KeeperOptions options_;
  Config config_;
  const Reload reload_;
  Ready ready_;

  EventLoop loop_;
  Log log_;
  std::unique_ptr<LogSink> debug_;
  PidFile pid_file_;
  std::unique_ptr<Resolver> resolver_;
  DoorTerms terms_;
  ShutPorts ports_;
  DoorKeeper doors_;
  DoorSequences sequences_;
  CodeSharing sharing_;
  CodeBook codes_;
  ListenerSlots slots_;
  Chronicle chronicle_;
  Control control_;
  Instant started_;
  Instant config_read_;
  std::string config_marks_;  // of its files when they were read
  bool is_ready_ = false;
  int status_ = 0;
  LineRate line_rate_;
  OrderlyExit exit_;
};

}  // namespace knockd
