// SPDX-License-Identifier: MIT
// Host names for log lines, looked up beside everything else: a child process without rights asks
// the name servers, and a line that comes before the answer goes without a name.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "knockd/base/event_loop.h"
#include "knockd/base/result.h"
#include "knockd/message/channel.h"
#include "knockd/net/address.h"

namespace knockd {

// What a name server says, stripped of anything but letters, digits, '-', '.' and '_'.
std::string clean_host_name(std::string_view name);

class Resolver {
 public:
  // Forks the child.
  explicit Resolver(EventLoop& loop);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  // Why there is no child.
  const std::optional<Fault>& fault() const { return fault_; }

  // The name if it is known, else an empty text; asks for one not asked for yet. Never waits.
  std::string name_of(const IpAddress& address);

  pid_t pid() const { return pid_; }
  void reaped() { pid_ = 0; }

 private:
  void on_answer();

  EventLoop& loop_;
  std::optional<Fault> fault_;
  Channel channel_{UniqueFd()};
  pid_t pid_ = 0;
  bool gone_ = true;
  std::map<IpAddress, std::string> names_;  // an empty name: asked for, or there is none
};

}  // namespace knockd
