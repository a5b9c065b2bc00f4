// SPDX-License-Identifier: MIT
// The Unix socket for requests: who may connect, how many are served, and how to handle callers
// that are silent, send too much, or do not read. The owner handles the requests.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "knockd/base/event_loop.h"
#include "knockd/base/lock_file.h"
#include "knockd/base/result.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// Never waits. Serves eight callers at a time; others wait in the kernel until one is gone. A
// follower of events leaves its place to another; eight may follow. Disconnects a caller that is
// silent or does not read for kPatience, or for kShortPatience while others may be waiting. One
// caller may stay: in a place of its own, silent without limit.
class ControlSocket {
 public:
  static constexpr size_t kMostCallers = 8;
  static constexpr size_t kMostFollowers = 8;
  static constexpr Duration kPatience = std::chrono::seconds(10);
  static constexpr Duration kShortPatience = std::chrono::milliseconds(200);
  // A follower that is farther behind is disconnected.
  static constexpr size_t kMostBehind = size_t{1} << 20;  // bytes

  using Caller = uint64_t;  // never reused

  class Owner {
   public:
    virtual ~Owner() = default;
    // A line, without its end. To be answered by answer() or follow(), at once or later; until then
    // no other line is read from this caller. `user`: its uid, from the kernel.
    virtual void on_request(Caller caller, uid_t user, const std::string& line) = 0;
    virtual void on_gone(Caller) {}
  };

  ControlSocket(EventLoop& loop, Owner& owner);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  // Creates the socket, replacing one that a crash left, and its folder if it is missing. `group`:
  // its members may connect, too; empty: only the daemon's user. Reports why it failed.
  Status open(const std::string& path, const std::string& group);
  // Sends what can be sent at once, disconnects all callers, and removes the socket.
  void close();
  // Empty: there is none.
  const std::string& path() const { return path_; }
  // Whether callers can reach it: it was not removed or replaced.
  bool is_there() const;
  // False: there is a group, but its members may not enter the folder.
  bool members_may_enter() const { return members_may_enter_; }

  // Sends a line, given without its end. Does nothing if the caller is gone.
  void answer(Caller caller, std::string_view line);
  // From now on this caller gets the lines of tell(). False: too many followers, or this caller
  // stays.
  bool follow(Caller caller);
  void tell(std::string_view line, std::string_view overrun);
  bool has_followers() const { return followers_ != 0; }
  // From now on this caller may stay. False: another one stays already.
  bool let_stay(Caller caller);
  bool stays(Caller caller) const { return staying_ == caller; }

 private:
  struct Call;

  Status bind(const std::string& path, const std::string& group);
  Status make_folder(const std::string& path, std::optional<gid_t> group);
  void listen_if_room();
  void on_connection();
  void on_ready(Caller caller);
  bool hear(Caller caller, Call& call);
  bool has_had_its_turn(Caller caller, const Call& call) const;
  bool flush(Call& call);
  void watch(Caller caller, Call& call);
  void hang_up(Caller caller);
  void send_away();
  void set_alarm();
  std::optional<Instant> end_of_patience(Caller caller, const Call& call) const;
  bool is_full() const {
    return calls_.size() - followers_ - (staying_ != 0 ? 1 : 0) >= kMostCallers;
  }

  EventLoop& loop_;
  Owner& owner_;
  std::string path_;
  std::string made_folder_;  // the last created folder
  bool members_may_enter_ = true;
  LockFile lock_;
  UniqueFd listening_;
  struct stat made_ {};  // identifies the socket
  std::map<Caller, std::unique_ptr<Call>> calls_;
  Caller last_ = 0;
  size_t followers_ = 0;
  Caller staying_ = 0;
  std::optional<Instant> deaf_until_;  // out of descriptors until then
  EventLoop::Alarm impatience_;
};

}  // namespace knockd
