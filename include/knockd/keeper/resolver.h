// SPDX-License-Identifier: MIT
// Host names for log lines, looked up beside everything else: a child process without rights asks
// the name servers, and a line that comes before the answer goes without a name.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/log.h"
#include "knockd/base/result.h"
#include "knockd/keeper/child_process.h"
#include "knockd/net/address.h"

namespace knockd {

// What a name server says, stripped of anything but letters, digits, '-', '.' and '_'.
std::string clean_host_name(std::string_view name);

// A child that ends is replaced, after growing pauses; until then no further name becomes known.
class Resolver {
 public:
  // Forks the child, which first calls `in_child`. Both must outlive the resolver.
  static Result<std::unique_ptr<Resolver>> create(
      EventLoop& loop, Log& log, std::function<void()> in_child = [] {});

  // The name if it is known, else an empty text; asks for one not asked for yet. Never waits.
  std::string name_of(const IpAddress& address);

  // 0 while there is none.
  pid_t pid() const { return process_.pid(); }
  // The child has ended and was reaped, with the status that waitpid() gave.
  void reaped(int status);

 private:
  Resolver(EventLoop& loop, Log& log, std::function<void()> in_child);
  Status start();
  void start_again();
  Duration count_failure();
  void on_answer();

  EventLoop& loop_;
  Log& log_;
  const std::function<void()> in_child_;
  ChildProcess process_;
  Instant started_;
  GrowingPause pause_;
  EventLoop::Alarm retry_;
  std::map<IpAddress, std::string> names_;  // an empty name: asked for, or there is none
};

}  // namespace knockd
