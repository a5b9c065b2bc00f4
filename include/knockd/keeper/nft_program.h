// SPDX-License-Identifier: MIT
// Runs nft(8), which reads rulesets so that we need not write them for the kernel.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "knockd/base/event_loop.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// Gives the ruleset to `nft -f -` and waits for its end, a few seconds at most. Empty if the kernel
// took it, all of it; else the reason, one line: "nft: Operation not permitted".
std::string run_nft(const std::string& ruleset);

// The same without waiting, one at a time: an nft that hangs must not block the loop.
class NftRun {
 public:
  // `fault` as of run_nft().
  using Ended = std::function<void(const std::string& fault)>;

  explicit NftRun(EventLoop& loop);
  ~NftRun() { stop(); }

  // Calls `ended` later. Empty, or why it cannot be started; then nothing is called.
  std::string start(const std::string& ruleset, Ended ended);
  bool runs() const { return pid_ != 0; }
  // Waits for its end, and calls.
  void wait();
  // To be called for each child that has ended. False: it was none of ours.
  bool child_ended(pid_t pid, int status);
  // Ends it, and calls nothing.
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
