// SPDX-License-Identifier: MIT
#include "knockd/keeper/code_sharing.h"

#include <algorithm>

namespace knockd {

CodeSharing::CodeSharing(EventLoop& loop, Log& log, Open open)
    : loop_(loop),
      log_(log),
      open_(std::move(open)),
      patience_(loop, [this] { lose_patience(); }) {}

void CodeSharing::share(bool share) {
  shares_ = share;
  hangs_ = false;
  if (!share) open_all();
}

void CodeSharing::wait_for(uint64_t opening) {
  const bool opens_something = opening != 0;
  if (!shares_ || hangs_ || !opens_something) return open_(opening);
  loop_.refresh_clock();  // the disk may have been slow
  waiting_.emplace_back(loop_.now(), opening);
  set_alarm();
}

void CodeSharing::shared(uint64_t opening) {
  hangs_ = false;
  const auto found = std::ranges::find(waiting_, opening, &std::pair<Instant, uint64_t>::second);
  if (found == waiting_.end()) return;
  waiting_.erase(found);
  set_alarm();
  open_(opening);
}

void CodeSharing::lose_patience() {
  hangs_ = true;
  log_.warning("the fleet did not take a code within 300 ms: doors open without it until it does");
  open_all();
}

void CodeSharing::open_all() {
  const auto waited = std::exchange(waiting_, {});
  set_alarm();
  for (const auto& [since, opening] : waited) open_(opening);
}

void CodeSharing::set_alarm() {
  patience_.set(waiting_.empty() ? std::nullopt : std::optional(waiting_.front().first + kLongest));
}

}  // namespace knockd
