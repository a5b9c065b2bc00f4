// SPDX-License-Identifier: MIT
// The two connections to the daemon's control socket: one follows its events, one sends requests,
// answered one by one. If the daemon ends or restarts, both reconnect with growing pauses, and its
// status is read again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/log.h"
#include "knockd/base/unique_fd.h"
#include "knockd/fleet/daemon_text.h"
#include "knockd/fleet/request_queue.h"

namespace knockd {

class DaemonLink {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Earlier events are in the status; on_event() reports later ones.
    virtual void on_daemon(const DaemonStatus& status) = 0;
    virtual void on_daemon_lost() = 0;
    virtual void on_event(const DaemonEvent& event) = 0;
  };

  DaemonLink(EventLoop& loop, Log& log, std::string path, Owner& owner);
  ~DaemonLink();
  DaemonLink(const DaemonLink&) = delete;
  DaemonLink& operator=(const DaemonLink&) = delete;

  void start() { connect(); }
  // Whether the daemon must wait before a code opens, now and after each reconnect.
  void share(bool share);
  // Does nothing while the daemon is away: it gets everything when it is back.
  void ask(DaemonRequest request);

 private:
  struct Line {
    UniqueFd fd{};
    std::string received{};
    std::string to_send{};
  };
  enum class Awaited : uint8_t { kNothing, kShare, kStatus, kRequest };

  void connect();
  Status open(Line& line);
  void close(Line& line);
  void lost(const std::string& why);
  bool watch(Line& line);
  void on_ready(Line& line);
  bool send(Line& line);
  bool receive(Line& line);
  void on_gone(Line& line);
  void on_line(Line& line, std::string_view text);
  void on_answer(std::string_view text);
  void on_status(std::string_view text);
  void on_event_line(std::string_view text);
  void send_next();
  void send_request(const std::string& text, Awaited awaited);

  EventLoop& loop_;
  Log& log_;
  const std::string path_;
  Owner& owner_;
  Line events_;
  Line requests_;
  RequestQueue queue_;
  Awaited awaited_ = Awaited::kNothing;
  bool is_there_ = false;              // its status has been read
  bool wants_status_ = false;          // must be read again
  std::vector<DaemonEvent> untold_{};  // received before the status
  bool share_ = false;                 // as wanted
  bool is_shared_ = false;             // in the daemon
  std::string asked_;                  // the unanswered request
  std::string last_refusal_;
  Instant refusals_silent_until_{};
  GrowingPause pause_;
  EventLoop::Alarm again_;
  EventLoop::Alarm patience_;
};

}  // namespace knockd
