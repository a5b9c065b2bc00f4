// SPDX-License-Identifier: MIT
// Runs nft(8), which translates text rulesets for the kernel.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "knockd/base/event_loop.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// Passes the ruleset to `nft -f -` and waits for its end, at most a few seconds. Empty if the
// kernel accepted all of it; else the reason, one line: "nft: Operation not permitted".
std::string run_nft(const std::string& ruleset);

// The same without waiting, one run at a time: a hung nft must not block the loop.
class NftRun {
 public:
  // `fault` as from run_nft().
  using Ended = std::function<void(const std::string& fault)>;

  explicit NftRun(EventLoop& loop);
  ~NftRun() { stop(); }

  // Calls `ended` later. Empty, or why nft could not be started; `ended` is then never called.
  std::string start(const std::string& ruleset, Ended ended);
  bool runs() const { return pid_ != 0; }
  // Waits for its end and calls `ended`.
  void wait();
  // To be called for each child that has ended. False: not started here.
  bool child_ended(pid_t pid, int status);
  // Kills it without calling `ended`.
  void stop();

 private:
  EventLoop& loop_;
  pid_t pid_ = 0;
  UniqueFd output_;
  Ended ended_;
  bool too_late_ = false;
  EventLoop::Alarm patience_;
};

}  // namespace knockd
