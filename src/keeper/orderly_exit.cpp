// SPDX-License-Identifier: MIT
#include "knockd/keeper/orderly_exit.h"

#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr char kOnStop[] = "On_Stop";

}  // namespace

OrderlyExit::OrderlyExit(EventLoop& loop, Log& log, DoorKeeper& doors, std::function<void()> out)
    : loop_(loop),
      log_(log),
      doors_(doors),
      out_(std::move(out)),
      close_more_(loop, [this] { close_doors(); }),
      give_up_(loop, [this] { give_up(); }) {}

void OrderlyExit::begin(bool close, std::string on_stop) {
  has_begun_ = true;
  close_ = close;
  on_stop_ = std::move(on_stop);
  give_up_.set(loop_.now() + kLongest);
  close_doors();
}

void OrderlyExit::leave_at_once() {
  has_begun_ = on_stop_run_ = true;
  out_();
}

// Closes as many as fit in a turn.
void OrderlyExit::close_doors() {
  if (doors_.shut_down(close_)) close_more_.set(loop_.now());
  go_on();
}

void OrderlyExit::go_on() {
  if (!has_begun_) return;
  if (on_stop_run_) {
    if (!doors_.runs_command_of(kOnStop)) out_();
    return;
  }
  if (close_ && doors_.open_doors() != 0) return;
  on_stop_run_ = true;
  if (on_stop_.empty()) return out_();
  doors_.run(kOnStop, on_stop_);
}

bool OrderlyExit::is_overdue() {
  if (!has_begun_) return false;
  loop_.refresh_clock();
  return give_up_.when() && *give_up_.when() <= loop_.now();
}

void OrderlyExit::give_up() {
  if (const size_t open = doors_.open_doors()) {
    log_.warning(counted(open, "door") + " could not be closed in time, the next start takes " +
                 (open == 1 ? "it" : "them") + " up");
  }
  // On_Stop does not wait for hung commands, and may outlive this process.
  if (!std::exchange(on_stop_run_, true) && !on_stop_.empty()) doors_.run(kOnStop, on_stop_);
  out_();
}

}  // namespace knockd
