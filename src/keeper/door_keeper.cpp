// SPDX-License-Identifier: MIT
#include "knockd/keeper/door_keeper.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "knockd/keeper/moment.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

constexpr Duration kTimeMark = std::chrono::minutes(1);
constexpr Duration kFirstPause = std::chrono::milliseconds(100);
// By hand or at a shutdown: takes milliseconds, so that other events are handled and the shutdown
// ends in time.
constexpr size_t kMostClosedInATurn = 1000;

// Whether to retry a command that could not be started: for lack of processes, memory or open
// files. A stop is given up only if it is too long for the kernel: a temporarily missing shell must
// not leave a door open for ever.
bool may_pass(int error, CommandKind kind) {
  if (kind == CommandKind::kStop) return error != E2BIG;
  return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

}  // namespace

DoorKeeper::DoorKeeper(EventLoop& loop, Log& log, CommandRunner& runner, Admitter& admitter,
                       NameSource name_source, UseSequenceOf use_sequence, MayLog may_log,
                       FileCalls& calls)
    : loop_(loop),
      log_(log),
      commands_(log, runner),
      admitter_(admitter),
      name_source_(std::move(name_source)),
      use_sequence_(std::move(use_sequence)),
      may_log_(std::move(may_log)),
      calls_(calls),
      next_(loop,
            [this] {
              openings_.time_passed(loop_.now(), kMostClosedInATurn);
              carry_out();
            }),
      minute_(loop,
              [this] {
                state_->passed(moment());
                settle();
              }),
      settle_(loop, [this] { settle(); }),
      pause_(kFirstPause, kTimeMark) {}

void DoorKeeper::take_up(const std::string& state_file) {
  state_ = std::make_unique<StateFile>(
      state_file, read_boot_id(), [this](const auto& visit) { openings_.for_each_open(visit); },
      calls_);
  take_up(state_->open(moment()));
  flush();
  carry_out();
}

void DoorKeeper::take_up(const std::vector<OpenDoor>& doors) {
  if (doors.empty()) return;
  log_.notice(taken_up_line(doors.size()));
  loop_.refresh_clock();  // overdue openings are due at the end of reading
  openings_.take_up(doors, loop_.now());
}

void DoorKeeper::change_state_file(const std::string& path) {
  const std::string before = state_->path();
  state_->move_to(path, moment());
  flush();
  carry_out();
  if (state_->path() == before) return;
  log_.notice("open doors are kept in " + (path.empty() ? "no file" : path) + " from now on");
}

void DoorKeeper::knocked(const CompleteKnock& knock) {
  openings_.knocked(knock, loop_.now());
  carry_out();
  settle_.set(loop_.now());
}

void DoorKeeper::sequence_used(uint64_t opening, bool used) {
  openings_.sequence_used(opening, used, loop_.now());
  carry_out();
  settle_.set(loop_.now());
}

Result<OpenedByHand> DoorKeeper::open_by_hand(const CompleteKnock& knock, uint32_t user) {
  return opened(knock, openings_.open_by_hand(knock, user, loop_.now()));
}

Result<OpenedByHand> DoorKeeper::open_by_gateway(const CompleteKnock& knock) {
  return opened(knock, openings_.open_by_gateway(knock, loop_.now()));
}

Result<OpenedByHand> DoorKeeper::opened(const CompleteKnock& knock,
                                        const Openings::ByHand& by_hand) {
  refused_.clear();
  const Instant now = loop_.now();
  carry_out();
  settle();
  if (by_hand.id == 0) {
    return Fault{by_hand.refused.empty() ? "the door does nothing" : "refused: " + by_hand.refused};
  }
  const Terms& terms = *knock.terms;
  if (!refused_.empty()) return Fault{refused_};
  std::string text = is_open_text(terms, knock.source, by_hand.deadline - now);
  const bool runs_start = by_hand.is_new && openings_.awaits_start(by_hand.id);
  if (by_hand.is_new && !terms.start.empty() && !runs_start) {
    constexpr char kWhy[] = "its start command could not be started, see the log";
    return Fault{openings_.knows(by_hand.id) ? text + "; " + kWhy : kWhy};
  }
  return OpenedByHand{by_hand.id, runs_start, std::move(text)};
}

ClosedByHand DoorKeeper::close_by_hand(const Selection& selection, uint32_t user) {
  // The caller also waits for those: they are still open.
  std::vector<uint64_t> ids = openings_.closing(selection);
  std::ranges::copy(openings_.close_by_hand(selection, user, loop_.now()), std::back_inserter(ids));
  return closed(std::move(ids));
}

ClosedByHand DoorKeeper::close_by_gateway(const Selection& selection, const std::string& gateway) {
  return closed(openings_.close_by_gateway(selection, gateway, loop_.now()));
}

// Records that their time is over before anything is undone, so that a crash reopens none of them.
ClosedByHand DoorKeeper::closed(std::vector<uint64_t> ids) {
  ClosedByHand closed;
  closed.running = std::move(ids);
  closed.count = closed.running.size();
  carry_out();
  flush();
  not_shut_ = 0;
  openings_.time_passed(loop_.now(), kMostClosedInATurn);
  carry_out();
  closed.not_shut = not_shut_;
  std::erase_if(closed.running, [this](uint64_t id) { return !openings_.knows(id); });
  return closed;
}

void DoorKeeper::run(const std::string& name, const std::string& command) {
  openings_.run(name, command, loop_.now());
  carry_out();
}

bool DoorKeeper::child_ended(pid_t pid, int status) {
  const auto ended = commands_.child_ended(pid, status);
  if (!ended) return false;
  report_end(*ended);
  openings_.ended(ended->opening, ended->kind, !ended->failure.empty(), loop_.now());
  carry_out();
  return true;
}

bool DoorKeeper::shut_down(bool close) {
  const bool is_more = openings_.shut_down(close, loop_.now(), kMostClosedInATurn);
  carry_out();
  return is_more;
}

void DoorKeeper::leave() {
  if (open_doors() != 0) state_->passed(moment());
  flush();
}

// The end of a turn: writes the records to disk, then begins their openings.
void DoorKeeper::settle() {
  flush();
  loop_.refresh_clock();  // a disk may be slow
  openings_.recorded(loop_.now());
  carry_out();
}

void DoorKeeper::carry_out() {
  if (carries_out_) return;  // a sequence was used at once: its actions come next
  carries_out_ = true;
  for (auto actions = openings_.take_actions(); !actions.empty();
       actions = openings_.take_actions()) {
    for (size_t i = 0; i < actions.size(); ++i) {
      // Letting a knocker in does not wait for the knock's log lines.
      const bool may_wait =
          std::holds_alternative<Say>(actions[i]) || std::holds_alternative<Admit>(actions[i]);
      if (!may_wait) write_lines();
      if (std::holds_alternative<Dismiss>(actions[i]) && not_dismissed_.empty()) {
        dismiss_in_a_row(actions, i);
      }
      std::visit([this](const auto& one) { carry_out(one); }, actions[i]);
    }
    write_lines();
  }
  carries_out_ = false;
  set_alarms();
}

void DoorKeeper::carry_out(const Say& say) { unwritten_.push_back(&say); }

void DoorKeeper::write_lines() {
  for (const Say* const say : unwritten_) {
    if (say->may_be_left_out && !may_log_()) continue;
    log_.write(say->level, say->source ? name_source_(*say->source) + ": " + say->text : say->text);
  }
  unwritten_.clear();
}

void DoorKeeper::carry_out(const UseSequence& use) { use_sequence_(use); }

void DoorKeeper::carry_out(const Admit& admit) {
  const std::string fault = admitter_.admit(admit.door);
  write_lines();
  if (!fault.empty()) {
    refused_ = not_opened_line(admit.door, fault);
    log_.error(refused_);
  } else if (admit.is_new) {
    log_.notice(opened_line(admit.door, admit.door.deadline - loop_.now(), false));
  }
  openings_.admitted(admit.door.id, fault.empty());
}

// Dismisses together all openings separated only by lines and records of their ends: thousands at a
// shutdown.
void DoorKeeper::dismiss_in_a_row(const std::vector<Action>& actions, size_t first) {
  std::vector<OpenDoor> doors;
  for (size_t i = first; i < actions.size(); ++i) {
    if (const auto* const dismiss = std::get_if<Dismiss>(&actions[i])) {
      doors.push_back(dismiss->door);
    } else if (!std::holds_alternative<Say>(actions[i]) &&
               !std::holds_alternative<Forget>(actions[i]) &&
               !std::holds_alternative<Happened>(actions[i])) {
      break;
    }
  }
  std::ranges::move(admitter_.dismiss(doors), std::back_inserter(not_dismissed_));
}

void DoorKeeper::carry_out(const Dismiss& dismiss) {
  const std::string fault = std::move(not_dismissed_.front());
  not_dismissed_.pop_front();
  if (fault.empty()) return log_.notice(closed_line(dismiss.door, false));
  log_.error(not_closed_line(dismiss.door, fault));
  ++not_shut_;
  if (watcher_ != nullptr) watcher_->on_not_shut(dismiss.door.id);
}

void DoorKeeper::carry_out(const Record& record) {
  record.is_new ? state_->opened(record.door, moment()) : state_->extended(record.door, moment());
  settle_.set(loop_.now());
}

void DoorKeeper::carry_out(const Forget& forget) {
  state_->closed(forget.door, moment());
  settle_.set(loop_.now());
}

void DoorKeeper::carry_out(const RunCommand& run) {
  const int error = commands_.start(run);
  if (error == 0) return;
  const bool again = may_pass(error, run.kind);
  if (!again) report_end({run.opening, run.kind, run.door, std::strerror(error)});
  openings_.could_not_run(run.opening, run.kind, std::strerror(error), again, loop_.now());
}

void DoorKeeper::carry_out(const Happened& happened) {
  if (watcher_ != nullptr) watcher_->on_happened(happened);
}

void DoorKeeper::report_end(const CommandEnd& end) {
  if (watcher_ != nullptr) watcher_->on_command_ended(end);
}

void DoorKeeper::flush() {
  const bool kept = state_->flush(moment());
  for (const std::string& complaint : state_->take_complaints()) log_.error(complaint);
  take_up(state_->take_found());
  if (kept) {
    pause_.reset();
  } else if (!settle_.when()) {
    settle_.set(loop_.now() + pause_.next());
  }
}

// By the clock of the loop, so that all records of a turn have the same time.
Moment DoorKeeper::moment() const {
  Moment moment = Moment::now();
  moment.boot = loop_.now();
  return moment;
}

void DoorKeeper::set_alarms() {
  next_.set(openings_.next_alarm());
  if (open_doors() == 0) {
    minute_.set(std::nullopt);
  } else if (!minute_.when()) {
    minute_.set(loop_.now() + kTimeMark);
  }
}

}  // namespace knockd
