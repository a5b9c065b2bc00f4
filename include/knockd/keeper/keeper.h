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
#include "knockd/keeper/echo_filter.h"
#include "knockd/keeper/interface_monitor.h"
#include "knockd/keeper/listener_process.h"
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

class Keeper : ListenerProcess::Owner {
 public:
  // Reads the configuration anew.
  using Reload = std::function<Result<Config, ConfigError>()>;
  // Called once, when each interface is listened to or waited for.
  using Ready = std::function<void()>;

  Keeper(Config config, KeeperOptions options, ListenerEntry entry, Reload reload, Ready ready);
  ~Keeper() override;

  // Until a signal ends it. Returns the exit status.
  int run();

  // Instead of run(), with a configuration that is faulty: closes those of the recorded doors that
  // are due, and leaves the others to the next start. Does nothing where a knockd is running.
  void close_what_is_due();

 private:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);
  static constexpr Duration kLongestPause = std::chrono::seconds(10);
  // A listener that ends sooner than this goes on with the series of those before it.
  static constexpr Duration kLongLife = std::chrono::minutes(1);

  // A listener for one wanted name, or the wait for it.
  struct Post {
    std::string interface;
    uint32_t index = 0;  // of the interface that the process listens on; 0: "any"
    std::unique_ptr<ListenerProcess> process;
    std::vector<IpAddress> addresses;  // as the process was told last
    bool listening = false;
    bool settled = false;     // listening, or told that it must wait
    std::string waiting_for;  // what was last said about that
    bool filter_refused = false;
    bool dismissed = false;  // the process is of no more use; ended at the next turn
    Instant listening_since;
    GrowingPause pause{kFirstPause, kLongestPause};  // before the next try
    uint64_t lost_knocks = 0;  // complete, but there was no room for them; not logged yet
    Instant lost_reported{};   // when such were logged last
    std::optional<Instant> retry_at;
  };
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

  void on_message(ListenerProcess& from, const FromListener& message) override;
  void on_gone(ListenerProcess& from, int status) override;
  void on_report(Post& post, const Listening& message);
  void on_report(Post& post, const KnockEvent& event);
  void on_report(Post& post, const Explanation& explanation);
  void on_report(Post& post, const LeftOut& left_out);
  void on_report(Post& post, const Trouble& trouble);
  void on_report(Post& post, const ListenerStatus& status);
  void knocked(const Post& post, const KnockEvent& event);
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
  void follow_network();
  void update_posts();
  void update_post(Post& post);
  void start_listener(Post& post, uint32_t index, std::vector<IpAddress> addresses);
  void stop_listener(Post& post);
  void wait_for(Post& post, const std::string& why, const std::string& details = "");
  void retry_later(Post& post, Duration longest = kLongestPause);
  void ready_if_settled();
  std::vector<IpAddress> addresses_on(const Post& post, uint32_t index) const;
  bool is_named(const std::string& interface) const;
  Post* post_of(const ListenerProcess& process);
  std::string interface_name(const Post& post, const KnockEvent& event) const;
  bool is_echo(const Post& post, const KnockEvent& event);
  std::string name_source(const IpAddress& source);
  void report_left_out_at(Instant when);
  bool may_log();
  void report_left_out();
  void report_lost_knocks();
  bool must_give_up();
  void give_up();
  void fail(const std::string& why);

  KeeperOptions options_;
  Config config_;
  const ListenerEntry entry_;
  const Reload reload_;
  Ready ready_;

  EventLoop loop_;
  Log log_;
  std::unique_ptr<LogSink> debug_;
  PidFile pid_file_;
  std::unique_ptr<Resolver> resolver_;
  InterfaceMonitor monitor_;
  DoorTerms terms_;
  DoorKeeper doors_;
  std::vector<DoorState> states_;
  DoorRules rules_;
  std::vector<ListUse> list_uses_;
  std::vector<std::string> interfaces_;
  std::vector<std::unique_ptr<Post>> posts_;
  EchoFilter echo_filter_;
  RateLimit rate_{0};
  Instant started_;
  bool is_ready_ = false;
  bool leaving_ = false;
  bool on_stop_run_ = false;
  int status_ = 0;
  EventLoop::Alarm retry_;    // of listeners that failed
  EventLoop::Alarm picture_;  // of the network, taken anew after it failed
  EventLoop::Alarm left_out_;
  Instant next_left_out_{};
  EventLoop::Alarm give_up_;
  EventLoop::Alarm list_uses_due_;
};

}  // namespace knockd
