// SPDX-License-Identifier: MIT
// The two connections to the daemon's control socket: one that follows its events, one for
// requests, which are answered one by one. Where the daemon ends or restarts, both are made anew
// with growing pauses, and its status is read again.
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
    // What happened before is in the status; what happens from here on is told by on_event().
    virtual void on_daemon(const DaemonStatus& status) = 0;
    virtual void on_daemon_lost() = 0;
    virtual void on_event(const DaemonEvent& event) = 0;
  };

  DaemonLink(EventLoop& loop, Log& log, std::string path, Owner& owner);
  ~DaemonLink();
  DaemonLink(const DaemonLink&) = delete;
  DaemonLink& operator=(const DaemonLink&) = delete;

  void start() { connect(); }
  // Whether the daemon is to wait before a code opens, now and whenever it is there anew.
  void share(bool share);
  // Nothing happens while the daemon is away: it is told all when it is back.
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
  bool wants_status_ = false;          // that is to be read again
  std::vector<DaemonEvent> untold_{};  // came while the status was awaited
  bool share_ = false;                 // as it is meant to be
  bool is_shared_ = false;             // as the daemon knows it
  std::string asked_;                  // what waits for its answer
  std::string last_refusal_;
  Instant refusals_silent_until_{};
  GrowingPause pause_;
  EventLoop::Alarm again_;
  EventLoop::Alarm patience_;
};

}  // namespace knockd
