// SPDX-License-Identifier: MIT
// The process that the user started, once it knows its configuration: follows the interfaces,
// keeps a listener on each, acts on what they report, obeys signals, and leaves in order.
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
#include "knockd/base/rate_limit.h"
#include "knockd/base/result.h"
#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/door_rules.h"
#include "knockd/config/door_terms.h"
#include "knockd/keeper/door_keeper.h"
#include "knockd/keeper/listener_slots.h"
#include "knockd/keeper/pid_file.h"
#include "knockd/keeper/resolver.h"

namespace knockd {

struct OneTimeUse;

// What the command line says; it wins over the configuration, also after a reload.
struct KeeperOptions {
  std::vector<std::string> interfaces;
  std::string log_file;
  std::string pid_file;
  bool daemon = false;  // with a pid file, and without a terminal once it is ready
  bool verbose = false;
  bool debug = false;
  bool lookup = false;
  bool only_v4 = false;
};

class Keeper : ListenerSlots::Owner {
 public:
  // Reads the configuration anew.
  using Reload = std::function<Result<Config, ConfigError>()>;
  // Called once, when each interface is listened to or waited for.
  using Ready = std::function<void()>;

  Keeper(Config config, KeeperOptions options, ListenerEntry entry, Reload reload, Ready ready);
  ~Keeper() override;

  // Until a signal ends it. Returns the exit status.
  int run();

  // Those that are listened to or waited for.
  const std::vector<std::string>& interfaces() const { return slots_.interfaces(); }

  // Instead of run(), with a configuration that is faulty: closes those of the recorded doors that
  // are due, and leaves the others to the next start. Does nothing where a knockd is running.
  void close_what_is_due();

 private:
  // What changes of a door while the configuration stands.
  struct DoorState {
    uint32_t generation = 0;
    bool uses_list = false;  // a knock waits for its one-time file; others are ignored
  };
  // An opening that begins as soon as its sequence is marked as used.
  struct ListUse {
    uint64_t opening = 0;
    DoorNumber rule = kNoDoor;
    Instant give_up_at;  // if another program keeps the file locked
  };

  ListenerSettings listener_settings() const override;
  bool is_forwarded(DoorNumber rule) const override;
  void on_event(const KnockEvent& event, const std::string& interface) override;
  void on_explanation(const Explanation& explanation) override;
  void on_lines_left_out(uint64_t lines) override;
  void on_settled() override;
  void on_no_rights(const std::string& why) override;
  void knocked(const KnockEvent& event, const std::string& interface);
  void use_sequence(const UseSequence& use);
  void use_lists();
  bool use_list(const ListUse& waiting);
  void give_up_list_uses();
  bool report_use(const Door& door, const OneTimeUse& use, size_t skipped);
  void warn_of_disabled_doors();
  void give_sequences(DoorNumber number, const std::vector<Sequence>& sequences);

  std::optional<Fault> set_up();
  void open_log();
  bool take_pid_file();
  void on_signal(int signal);
  void reap();
  void reload();
  void report_status();
  void begin_shutdown();
  void finish_shutdown_if_done();

  void choose_interfaces();
  std::string name_source(const IpAddress& source);
  void report_left_out_at(Instant when);
  bool may_log();
  void report_left_out();
  bool must_give_up();
  void give_up();

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
  DoorKeeper doors_;
  std::vector<DoorState> states_;
  DoorRules rules_;
  std::vector<ListUse> list_uses_;
  ListenerSlots slots_;
  RateLimit rate_{0};
  Instant started_;
  bool is_ready_ = false;
  bool leaving_ = false;
  bool on_stop_run_ = false;
  int status_ = 0;
  EventLoop::Alarm left_out_;
  Instant next_left_out_{};
  EventLoop::Alarm give_up_;
  EventLoop::Alarm list_uses_due_;
};

}  // namespace knockd
