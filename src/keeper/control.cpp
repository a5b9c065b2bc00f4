// SPDX-License-Identifier: MIT
#include "knockd/keeper/control.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "knockd/base/file_calls.h"
#include "knockd/base/text.h"

namespace knockd {
namespace {

// A listener that is silent for this long is reported with its last counts.
constexpr Duration kLongestCount = std::chrono::milliseconds(30);
// The longest wait of a caller for a command.
constexpr Duration kLongestCommand = std::chrono::seconds(10);

}  // namespace

Control::Control(EventLoop& loop, Log& log, Owner& owner)
    : loop_(loop),
      log_(log),
      owner_(owner),
      socket_(loop, *this),
      counted_(loop, [this] { answer_status(); }),
      patience_(loop, [this] { lose_patience(); }) {}

void Control::open(const std::string& path, const std::string& group) {
  if (path == path_ && group == group_ && socket_.is_there()) return;
  path_ = path;
  group_ = group;
  socket_.close();
  if (path.empty()) return;
  const Status opened = socket_.open(path, group);
  if (!opened) {
    log_.warning("nobody can ask for the status: " + opened.error().text + " (Control)");
  } else if (!socket_.members_may_enter()) {
    log_.warning("members of " + printable(group) +
                 " cannot ask for the status: they may not enter " + printable(folder_of(path)) +
                 " (Control_Group)");
  }
}

void Control::on_request(Caller caller, uid_t user, const std::string& line) {
  const auto request = parse_request(line);
  if (!request) return answer(caller, 1, request.error().text);
  std::visit([&](const auto& ask) { act(caller, user, ask); }, *request);
}

// --- Status --------------------------------------------------------------------------------------

void Control::act(Caller caller, uid_t, const AskStatus& ask) {
  ask_for_status({caller, ask.form});
}

void Control::log_status() { ask_for_status({}); }

// A request during the wait of others is answered with theirs.
void Control::ask_for_status(StatusWish wish) {
  wishes_.push_back(wish);
  if (wishes_.size() > 1) return;
  counted_.set(loop_.now() + (owner_.ask_listeners() ? kLongestCount : Duration::zero()));
}

void Control::on_counted() {
  if (!wishes_.empty()) answer_status();
}

void Control::answer_status() {
  counted_.set(std::nullopt);
  const StatusReport report = owner_.status();
  for (const StatusWish& wish : std::exchange(wishes_, {})) {
    if (wish.caller == 0) {
      owner_.log_status(report);
    } else if (wish.form == AskStatus::Form::kJson) {
      socket_.answer(wish.caller, to_json(report));
    } else {
      const bool is_table = wish.form == AskStatus::Form::kTable;
      answer(wish.caller, 0, is_table ? to_table(report) : to_prometheus(report));
    }
  }
}

// --- Following -----------------------------------------------------------------------------------

void Control::act(Caller caller, uid_t, const AskEvents&) {
  if (socket_.stays(caller)) return answer(caller, 1, "events are for another connection");
  if (!socket_.follow(caller)) {
    answer(caller, 1, format("%zu follow already, more may not", ControlSocket::kMostFollowers));
  }
}

void Control::on_happening(const Happening& happening) {
  if (socket_.has_followers()) socket_.tell(to_json(happening), overrun_json(happening.time));
  if (happening.event == HappeningKind::kClosed) is_closed(happening.id);
}

// --- By hand -------------------------------------------------------------------------------------

void Control::act(Caller caller, uid_t user, const AskClose& ask) {
  const ClosedByHand closed = owner_.close_by_hand(ask.selection, user);
  if (closed.count == 0) return answer(caller, 1, "nothing was open there");
  Wait wait;
  wait.caller = caller;
  wait.openings.insert(closed.running.begin(), closed.running.end());
  wait.count = closed.count;
  wait.not_shut = closed.not_shut;
  wait.text = counted(closed.count, "opening") + " closed";
  wait.patience = loop_.now() + kLongestCommand;
  if (wait.openings.empty()) return finish(wait);
  waits_.push_back(std::move(wait));
  patience_.set(waits_.front().patience);
}

void Control::act(Caller caller, uid_t user, const AskOpen& ask) {
  const auto opened = owner_.open_by_hand(ask, user);
  if (!opened) return answer(caller, 1, opened.error().text);
  Wait wait;
  wait.caller = caller;
  wait.opens = true;
  wait.door = ask.door;
  wait.count = 1;
  wait.text = opened->text;
  wait.patience = loop_.now() + kLongestCommand;
  if (!opened->runs_start) return finish(wait);
  wait.openings.insert(opened->id);
  waits_.push_back(std::move(wait));
  patience_.set(waits_.front().patience);
}

// An open request waits for the start command, a close request until all is undone.
void Control::on_command_ended(const CommandEnd& end) {
  const bool is_start = end.kind == CommandKind::kStart;
  for (Wait& wait : waits_) {
    if (wait.opens != is_start || !wait.openings.contains(end.opening)) continue;
    if (!end.failure.empty()) ++wait.failed;
    if (!is_start) continue;
    wait.closed = !owner_.is_open(end.opening);
    wait.openings.erase(end.opening);
  }
  lose_patience();
}

void Control::on_not_shut(uint64_t opening) {
  for (Wait& wait : waits_) {
    if (!wait.opens && wait.openings.contains(opening)) ++wait.not_shut;
  }
}

void Control::is_closed(uint64_t opening) {
  for (Wait& wait : waits_) {
    if (wait.openings.erase(opening) != 0) wait.closed = true;
  }
  lose_patience();
}

// Answers callers whose wait has timed out.
void Control::lose_patience() {
  std::erase_if(waits_, [this](const Wait& wait) {
    if (!wait.openings.empty() && loop_.now() < wait.patience) return false;
    finish(wait);
    return true;
  });
  patience_.set(waits_.empty() ? std::nullopt : std::optional(waits_.front().patience));
}

void Control::finish(const Wait& wait) {
  if (wait.opens && wait.closed) {
    return answer(wait.caller, 1, wait.door + " was closed before its start command had ended");
  }
  const bool is_done = wait.failed == 0 && wait.not_shut == 0 && wait.openings.empty();
  if (is_done) return answer(wait.caller, 0, wait.text);
  const char* const command = wait.opens ? "start command" : "stop command";
  const size_t running = wait.openings.size();
  std::string text = wait.opens ? wait.text
                                : format("%zu of %s closed",
                                         wait.count - std::min(wait.count, running + wait.not_shut),
                                         counted(wait.count, "opening").c_str());
  if (wait.not_shut != 0) {
    text += format("; %zu cannot be closed before the time is over, see the log", wait.not_shut);
  }
  if (running != 0) text += "; " + counted(running, command) + " still running";
  if (wait.failed != 0) text += "; " + counted(wait.failed, command) + " failed, see the log";
  answer(wait.caller, 1, text);
}

// --- The fleet -----------------------------------------------------------------------------------

void Control::act(Caller caller, uid_t, const AskFleetOpen& ask) {
  answer(caller, owner_.fleet_open(ask));
}

void Control::act(Caller caller, uid_t, const AskFleetClose& ask) {
  answer(caller, owner_.fleet_close(ask));
}

void Control::act(Caller caller, uid_t, const AskFleetUsed& ask) {
  answer(caller, owner_.fleet_used(ask));
}

// With "no" as well, so that a fleet which temporarily lacks its broker stays connected.
void Control::act(Caller caller, uid_t, const AskFleetShare& ask) {
  if (!socket_.let_stay(caller)) return answer(caller, 1, "another connection is the fleet's");
  owner_.share_codes(ask.share);
  answer(caller, 0, ask.share ? "codes wait for the fleet" : "codes do not wait for the fleet");
}

void Control::act(Caller caller, uid_t, const AskFleetShared& ask) {
  if (!socket_.stays(caller)) return answer(caller, 1, "fleet-share is to come first");
  owner_.code_shared(ask.id);
  answer(caller, 0, "");
}

void Control::on_gone(Caller caller) {
  if (socket_.stays(caller)) owner_.share_codes(false);
}

}  // namespace knockd
