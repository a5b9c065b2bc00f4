// SPDX-License-Identifier: MIT
// Answers requests at the control socket.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/control/control_socket.h"
#include "knockd/control/json.h"
#include "knockd/control/request.h"
#include "knockd/control/status_report.h"
#include "knockd/keeper/chronicle.h"

namespace knockd {

// Waits a short time for the listeners' counts, and for the commands of a requested open or close.
class Control : ControlSocket::Owner, public Chronicle::Follower {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Asks the listeners for their counts. False: there is nothing to wait for. Else on_counted()
    // follows, unless a listener is silent.
    virtual bool ask_listeners() = 0;
    virtual StatusReport status() const = 0;
    virtual void log_status(const StatusReport& report) = 0;
    virtual Result<OpenedByHand> open_by_hand(const AskOpen& open, uid_t user) = 0;
    // The ids of openings whose time was ended, and how many of them are closed already.
    virtual ClosedByHand close_by_hand(const Selection& selection, uid_t user) = 0;
    // On request of another gateway. The answers are for knockd-fleet, which does not wait for
    // commands.
    virtual Answer fleet_open(const AskFleetOpen& ask) = 0;
    virtual Answer fleet_close(const AskFleetClose& ask) = 0;
    virtual Answer fleet_used(const AskFleetUsed& ask) = 0;
    // Whether codes wait until code_shared() with the reported id.
    virtual void share_codes(bool share) = 0;
    virtual void code_shared(uint64_t id) = 0;
    // False while it is being closed.
    virtual bool is_open(uint64_t opening) const = 0;
  };

  Control(EventLoop& loop, Log& log, Owner& owner);

  // An empty `path`: no socket. A failure to create the socket is only a warning.
  void open(const std::string& path, const std::string& group);

  // SIGUSR1: the status as lines of the log.
  void log_status();
  // Every listener has answered.
  void on_counted();

  void on_happening(const Happening& happening) override;
  void on_command_ended(const CommandEnd& end) override;
  void on_not_shut(uint64_t opening) override;

 private:
  using Caller = ControlSocket::Caller;
  struct StatusWish {
    Caller caller = 0;  // 0: the log
    AskStatus::Form form = AskStatus::Form::kJson;
  };
  // A caller that waits for the commands of its request.
  struct Wait {
    Caller caller = 0;
    std::set<uint64_t> openings;  // with unfinished commands
    bool opens = false;
    bool closed = false;  // one of them
    std::string door;     // that is opened
    size_t count = 0;     // of openings at first
    size_t failed = 0;    // commands
    size_t not_shut = 0;  // openings that stay until their time is over
    std::string text;     // of success
    Instant patience;
  };

  void on_request(Caller caller, uid_t user, const std::string& line) override;
  void act(Caller caller, uid_t user, const AskStatus& ask);
  void act(Caller caller, uid_t user, const AskEvents& ask);
  void act(Caller caller, uid_t user, const AskClose& ask);
  void act(Caller caller, uid_t user, const AskOpen& ask);
  void act(Caller caller, uid_t user, const AskFleetOpen& ask);
  void act(Caller caller, uid_t user, const AskFleetClose& ask);
  void act(Caller caller, uid_t user, const AskFleetUsed& ask);
  void act(Caller caller, uid_t user, const AskFleetShare& ask);
  void act(Caller caller, uid_t user, const AskFleetShared& ask);
  void on_gone(Caller caller) override;
  void ask_for_status(StatusWish wish);
  void answer_status();
  void is_closed(uint64_t opening);
  void lose_patience();
  void finish(const Wait& wait);
  void answer(Caller caller, int status, const std::string& text) {
    answer(caller, {status, text});
  }
  void answer(Caller caller, const Answer& answer) { socket_.answer(caller, to_json(answer)); }

  EventLoop& loop_;
  Log& log_;
  Owner& owner_;
  ControlSocket socket_;
  std::string path_;
  std::string group_;
  std::vector<StatusWish> wishes_;
  std::vector<Wait> waits_;
  EventLoop::Alarm counted_;  // at the latest
  EventLoop::Alarm patience_;
};

}  // namespace knockd
