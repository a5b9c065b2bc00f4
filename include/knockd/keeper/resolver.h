// SPDX-License-Identifier: MIT
// Host names for log lines, resolved in the background: a child process without privileges queries
// the name servers; lines logged before the answer have no name.
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

// A name server's answer without any bytes except letters, digits, '-', '.' and '_'.
std::string clean_host_name(std::string_view name);

// Replaces a child that ends, after growing pauses; until then no further names are resolved.
class Resolver {
 public:
  // Forks the child, which first calls `in_child`. Both arguments must outlive the resolver.
  static Result<std::unique_ptr<Resolver>> create(
      EventLoop& loop, Log& log, std::function<void()> in_child = [] {});

  // The name if known, else empty; the first call for an address queries it. Never waits.
  std::string name_of(const IpAddress& address);

  // 0 while there is no child.
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
  std::map<IpAddress, std::string> names_;  // empty: being queried, or no name
};

}  // namespace knockd
