// SPDX-License-Identifier: MIT
#include "knockd/knock/openings.h"

#include <algorithm>

#include "knockd/knock/command_template.h"
#include "knockd/knock/event_text.h"

namespace knockd {
namespace {

// A gateway's time left is measured a moment earlier: repeating the same end must not make it
// later.
constexpr Duration kOnTheWay = std::chrono::milliseconds(10);

}  // namespace

Openings::Openings(const OpeningLimits& limits)
    : limits_(limits),
      starts_(limits.own_places, limits.shared_places),
      stops_(limits.own_places, limits.shared_places) {}

// --- Knocks --------------------------------------------------------------------------------------

void Openings::take_up(const std::vector<OpenDoor>& doors, Instant now) {
  for (const OpenDoor& door : doors) {
    const std::shared_ptr<Terms> terms(new Terms());
    terms->door = door.door;
    terms->stop = door.stop_command;
    terms->admission = door.admission;
    terms->prefix = door.prefix;
    const uint64_t id = openings_.contains(door.id) ? last_id_ + 1 : door.id;
    last_id_ = std::max(last_id_, id);
    CompleteKnock knock{.terms = terms, .source = door.source, .interface = door.interface};
    knock.user = door.user;
    knock.gateway = door.gateway;
    add(id, knock);
    --waiting_;
    ++open_;
    opening(id).state = State::kOpen;
    opening(id).deadline = door.deadline;
    opening(id).let_in = door.admission.has_value();
    opening(id).is_told = true;
    set_alarm(id, door.deadline);
    if (door.admission && door.deadline > now) admit(id, false);
  }
  time_passed(now);
}

void Openings::knocked(const CompleteKnock& knock, Instant now) {
  const Terms& terms = *knock.terms;
  DoorUse& door = use_of(terms.door);
  if (leaving_) return;
  if (door.is_cooling(now)) return use_code(knock);
  if (const std::string why = begin(knock, Asked::kByKnock); !why.empty()) {
    use_code(knock);
    return refuse(knock, why, now);
  }
  const uint64_t id = last_id_;
  say(LogLevel::kNotice, opening(id), stage_text(knock.stage));
  std::get<Say>(actions_.back()).may_be_left_out = true;
  if (!knock.user.empty()) say(LogLevel::kNotice, opening(id), knock_of_text(knock.user));
  say(LogLevel::kNotice, opening(id), open_sesame_text());
  if (terms.cooldown > Duration::zero()) door.cool_until(now + terms.cooldown);
  if (!terms.one_time) {
    proceed(id, now);
    return;
  }
  actions_.emplace_back(
      UseSequence{id, terms.number, knock.rule, knock.source, knock.code.value_or(CodeTag())});
}

// For a knock that was refused, so that an eavesdropper cannot use its code later.
void Openings::use_code(const CompleteKnock& knock) {
  constexpr uint64_t kNoOpening = 0;
  if (!knock.code) return;
  actions_.emplace_back(
      UseSequence{kNoOpening, knock.terms->number, knock.rule, knock.source, *knock.code});
}

Openings::ByHand Openings::open_by_hand(const CompleteKnock& knock, uint32_t user, Instant now) {
  if (leaving_) return {.refused = shutting_down_text()};
  if (knock.terms->start.empty() && !knock.terms->has_something_to_undo()) return {};
  std::string refused = begin(knock, Asked::kOnRequest);
  if (!refused.empty()) return {.refused = std::move(refused)};
  return open_at_once(opened_by_hand_text(user), now);
}

Openings::ByHand Openings::open_by_gateway(const CompleteKnock& knock, Instant now) {
  if (leaving_) return {.refused = shutting_down_text()};
  if (std::string why = begin(knock, Asked::kOnRequest); !why.empty()) {
    refuse(knock, why, now);
    return {.refused = std::move(why)};
  }
  // An opening that lasts at least as long stays unchanged, without a line: gateways repeat
  // messages.
  const auto older = renewable(last_id_);
  if (older && now + knock.terms->open_for <= opening(*older).deadline + kOnTheWay) {
    remove(last_id_);
    return {*older, false, {}, opening(*older).deadline};
  }
  return open_at_once(opened_by_gateway_text(knock.gateway, knock.user), now);
}

// Opens one that begin() has added.
Openings::ByHand Openings::open_at_once(const std::string& text, Instant now) {
  const uint64_t fresh = last_id_;
  say(LogLevel::kNotice, opening(fresh), text);
  const uint64_t id = proceed(fresh, now);
  return {id, id == fresh, {}, id == 0 ? now : opening(id).deadline};
}

// Adds an opening with the last id. Returns why not if there are too many.
std::string Openings::begin(const CompleteKnock& knock, Asked asked) {
  const uint64_t id = ++last_id_;
  add(id, knock);
  if (renewable(id)) return {};
  std::string why = too_many(knock, asked);
  if (!why.empty()) remove(id);
  return why;
}

// Why a limit refuses the opening that was added last; empty if none does.
std::string Openings::too_many(const CompleteKnock& knock, Asked asked) const {
  const Terms& terms = *knock.terms;
  const DoorUse& door = doors_.at(terms.door);
  std::string why;
  if (terms.has_something_to_undo()) why = door.too_many_open(terms.max_open);
  if (!why.empty() || terms.start.empty()) return why;
  why = door.too_many_starts(limits_.waiting_starts);
  // A person asks once, and so do gateways for each opening.
  if (!why.empty() || asked == Asked::kOnRequest) return why;
  return door.too_many_starts_of(knock.source, limits_.waiting_starts);
}

std::vector<uint64_t> Openings::close_by_hand(const Selection& selection, uint32_t user,
                                              Instant now) {
  return close(selection, user, {}, now);
}

std::vector<uint64_t> Openings::closing(const Selection& selection) const {
  std::vector<uint64_t> ids;
  for (const auto& [id, opening] : openings_) {
    const bool is_closing = opening.is_on_disk() && (opening.by_hand || !opening.is_open());
    if (is_closing && is_selected(opening, selection)) ids.push_back(id);
  }
  return ids;
}

std::vector<uint64_t> Openings::close_by_gateway(const Selection& selection,
                                                 const std::string& gateway, Instant now) {
  return close(selection, 0, gateway, now);
}

std::vector<uint64_t> Openings::close(const Selection& selection, uint32_t user,
                                      const std::string& gateway, Instant now) {
  std::vector<uint64_t> closed;
  if (leaving_) return closed;
  for (auto next = openings_.begin(); next != openings_.end();) {
    auto& [id, opening] = *next++;
    if (!opening.is_open() || opening.by_hand || !is_selected(opening, selection)) continue;
    closed.push_back(id);
    opening.by_hand = true;
    opening.uid = user;
    opening.closed_at = gateway;
    if (opening.has_not_begun()) {
      const Lane lane = lane_of(opening);
      report_stop(opening);
      drop(id);
      offer(lane);
      continue;
    }
    opening.deadline = now;
    set_alarm(id, now);
    actions_.emplace_back(Record{open_door(id, opening), false});
  }
  return closed;
}

bool Openings::is_selected(const Opening& opening, const Selection& selection) const {
  if (selection.door && *selection.door != opening.terms->door) return false;
  return !selection.address || network_of(*selection.address, opening.prefix()) ==
                                   network_of(opening.source, opening.prefix());
}

void Openings::run(const std::string& name, const std::string& command, Instant now) {
  const std::shared_ptr<Terms> terms(new Terms());
  terms->door = name;
  terms->start = command;
  const uint64_t id = ++last_id_;
  add(id, {terms, {}, {}});
  opening(id).is_knock = false;
  opening(id).state = State::kStartWaits;
  arrange(id);
  offer(lane_of(opening(id)));
  run_what_can(now);
}

void Openings::sequence_used(uint64_t id, bool used, Instant now) {
  if (!openings_.contains(id)) return;  // dropped by a shutdown
  if (used) {
    proceed(id, now);
  } else {
    remove(id);
  }
}

// Renews or begins the opening of a knock. Returns its id; 0 if the door does nothing.
uint64_t Openings::proceed(uint64_t id, Instant now) {
  Opening& fresh = opening(id);
  const Terms& terms = *fresh.terms;
  const auto older = renewable(id);
  if (!older) {
    if (!fresh.has_start() && !fresh.has_something_to_undo()) {
      remove(id);
      return 0;
    }
    fresh.deadline = now + terms.open_for;
    fresh.state = State::kAdmitting;
    terms.admission ? admit(id, true) : begin_recording(id);
    return id;
  }
  Opening& renewed = opening(*older);
  const Instant deadline = now + terms.open_for;
  const bool extend = terms.reknock != Reknock::kIgnore && deadline > renewed.deadline;
  say(LogLevel::kNotice, fresh, already_open_text(extend));
  const std::string gateway = fresh.gateway.get();
  remove(id);
  if (!extend) return *older;
  renewed.deadline = deadline;
  renewed.gateway = gateway;
  if (gateway.empty()) renewed.is_of_fleet = false;
  if (!renewed.has_not_begun()) set_alarm(*older, deadline);
  if (renewed.let_in) admit(*older, false);
  record(*older, false);
  return *older;
}

void Openings::admitted(uint64_t id, bool in) {
  const auto found = openings_.find(id);
  if (found == openings_.end() || found->second.state != State::kAdmitting) return;
  if (!in) return remove(id);
  found->second.let_in = true;
  begin_recording(id);
}

void Openings::begin_recording(uint64_t id) {
  opening(id).state = State::kRecording;
  recording_.push_back(id);
  if (!opening(id).has_something_to_undo()) return;
  ++open_;
  record(id, true);
}

// Whether this knock has the code and the commands of an opening. Of a code the number of its user
// does not count, because it changes with the configuration.
bool Openings::is_repeated(const Opening& opening, const Opening& knocking) {
  return opening.code && knocking.code && opening.code->step == knocking.code->step &&
         opening.user.get() == knocking.user.get() &&
         opening.terms->start == knocking.terms->start && !opening.start_failed;
}

// The opening that a knock renews instead of adding one: the youngest of the same door and source
// whose time is not over (for a gateway: the one that lasts longest). With Reknock = run that is
// only one with the same code: packets get lost, so a used code may be repeated, but who replays
// it must not fill the door. Nothing for a door with nothing to undo.
std::optional<uint64_t> Openings::renewable(uint64_t id) const {
  const Opening& knocking = openings_.at(id);
  const bool runs = knocking.terms->reknock == Reknock::kRun;
  if (!knocking.has_something_to_undo() || (runs && !knocking.code)) return std::nullopt;
  const Lane lane = lane_of(knocking);
  const bool by_age = knocking.gateway.empty();
  std::optional<uint64_t> youngest;
  for (const Part part : {Part::kBusy, Part::kStarts, Part::kRest}) {
    lanes_.visit_older(lane, part, id, [&](uint64_t candidate) {
      if (by_age && youngest && candidate < *youngest) return false;
      const Opening& older = openings_.at(candidate);
      if (!by_age && youngest && older.deadline <= openings_.at(*youngest).deadline) return true;
      if (older.is_open() && !older.by_hand && older.state > State::kAdmitting &&
          older.terms->admission == knocking.terms->admission &&
          (!runs || is_repeated(older, knocking))) {
        youngest = candidate;
      }
      return true;
    });
  }
  return youngest;
}

void Openings::refuse(const CompleteKnock& knock, const std::string& why, Instant now) {
  const std::string& door = knock.terms->door;
  OpenDoor refused;
  refused.door = door;
  refused.source = knock.source;
  refused.interface = knock.interface;
  refused.user = knock.user;
  refused.gateway = knock.gateway;
  tell(Happened::What::kRefused, std::move(refused)).why = why;
  if (auto report = refused_.add(door, why, now)) report_refused(std::move(*report));
}

void Openings::report_refused(std::string line) {
  actions_.emplace_back(Say{LogLevel::kWarning, {}, std::move(line)});
}

void Openings::recorded(Instant now) {
  for (const uint64_t id : std::exchange(recording_, {})) {
    const auto found = openings_.find(id);
    if (found == openings_.end()) continue;
    Opening& recorded = found->second;
    recorded.since = now;
    tell_open(id, Happened::What::kOpened);
    if (recorded.has_start()) {
      ring_due(lane_of(recorded), now);
      recorded.state = State::kStartWaits;
      arrange(id);
      offer(lane_of(recorded));
    } else {
      recorded.state = State::kOpen;
      --waiting_;
      set_alarm(id, recorded.deadline);
    }
  }
  run_what_can(now);
}

// --- Time ----------------------------------------------------------------------------------------

void Openings::time_passed(Instant now, size_t most) {
  for (; most > 0 && !alarms_.empty() && alarms_.begin()->first <= now; --most) {
    const uint64_t id = alarms_.begin()->second;
    set_alarm(id, std::nullopt);
    ring(id, now);
  }
  for (std::string& line : refused_.due(now)) report_refused(std::move(line));
  run_what_can(now);
  if (stuck_since_ && !stuck_reported_ && now >= *stuck_since_ + kStuckAfter) report_stuck();
}

std::optional<Instant> Openings::next_alarm() const {
  std::optional<Instant> next;
  const auto consider = [&](Instant when) { next = next ? std::min(*next, when) : when; };
  if (!alarms_.empty()) consider(alarms_.begin()->first);
  if (stuck_since_ && !stuck_reported_) consider(*stuck_since_ + kStuckAfter);
  if (const auto report = refused_.next_report()) consider(*report);
  return next;
}

// Also if it is not their turn yet: a start follows the stops that are due before it.
void Openings::ring_due(const Lane& lane, Instant now) {
  if (alarms_.empty() || alarms_.begin()->first > now) return;
  std::vector<uint64_t> due;
  for (const uint64_t id : lanes_.all_of(lane)) {
    if (opening(id).alarm && *opening(id).alarm <= now) due.push_back(id);
  }
  for (const uint64_t id : due) {
    set_alarm(id, std::nullopt);
    ring(id, now);
  }
}

void Openings::ring(uint64_t id, Instant now) {
  Opening& ringing = opening(id);
  switch (ringing.state) {
    case State::kStartRuns:
    case State::kOpen:
      return want_stop(id, Why::kTimeout, now);
    case State::kStopWaits:
      overtake(lane_of(ringing));
      return offer(lane_of(ringing));
    case State::kStartWaits:
      return offer(lane_of(ringing));
    default:
      return;
  }
}

bool Openings::shut_down(bool close, Instant now, size_t most) {
  auto next = openings_.begin();
  while (!leaving_ && next != openings_.end()) {
    auto& [id, opening] = *next++;
    if (!opening.has_not_begun()) continue;
    opening.why = Why::kShutdown;
    drop(id);
  }
  leaving_ = true;
  next = close ? openings_.lower_bound(next_to_close_) : openings_.end();
  for (; most > 0 && next != openings_.end(); --most) {
    const auto& [id, opening] = *next++;
    next_to_close_ = id + 1;
    if (opening.is_open()) want_stop(id, Why::kShutdown, now);
  }
  run_what_can(now);
  return next != openings_.end();
}

// --- Small parts ---------------------------------------------------------------------------------

void Openings::add(uint64_t id, const CompleteKnock& knock) {
  DoorUse& door = use_of(knock.terms->door);
  Opening& added = openings_[id];
  added.terms = knock.terms;
  added.source = knock.source;
  added.interface = knock.interface;
  added.user = knock.user;
  added.code = knock.code;
  added.gateway = knock.gateway;
  added.is_of_fleet = !knock.gateway.empty();
  added.line = door.line();
  lanes_.add(lane_of(added), added.part, id);
  if (added.has_start()) door.add_start(added.source);
  ++waiting_;
  if (added.has_something_to_undo()) door.add_opening();
}

void Openings::remove(uint64_t id) {
  const Opening& gone = opening(id);
  DoorUse& door = use_of(gone.terms->door);
  if (gone.has_not_begun()) {
    if (gone.has_start()) door.remove_start(gone.source);
    --waiting_;
  }
  if (gone.has_something_to_undo()) door.remove_opening();
  set_alarm(id, std::nullopt);
  lanes_.remove(lane_of(gone), gone.part, id);
  openings_.erase(id);
}

// Drops an opening whose start has not begun.
void Openings::drop(uint64_t id) {
  withdraw(id);
  const Opening& dropped = opening(id);
  if (dropped.let_in || dropped.state == State::kAdmitting) dismiss(id);
  if (dropped.is_on_disk()) return forget(id);
  remove(id);
}

// Removes an opening that is undone.
void Openings::forget(uint64_t id) {
  const Opening& undone = opening(id);
  OpenDoor door = open_door(id, undone);
  actions_.emplace_back(Forget{door});
  if (undone.is_told) {
    Happened& closed = tell(Happened::What::kClosed, std::move(door));
    closed.why = why_closed(undone);
    closed.by = closed_by(undone);
  }
  --open_;
  remove(id);
}

void Openings::tell_open(uint64_t id, Happened::What what) {
  opening(id).is_told = true;
  tell(what, open_door(id, opening(id)));
}

Happened& Openings::tell(Happened::What what, OpenDoor door) {
  Happened& happened = std::get<Happened>(actions_.emplace_back(Happened()));
  happened.what = what;
  happened.door = std::move(door);
  return happened;
}

void Openings::record(uint64_t id, bool is_new) {
  actions_.emplace_back(Record{open_door(id, opening(id)), is_new});
  if (!is_new && opening(id).is_told) tell_open(id, Happened::What::kRenewed);
}

void Openings::admit(uint64_t id, bool is_new) {
  actions_.emplace_back(Admit{open_door(id, opening(id)), is_new});
}

void Openings::dismiss(uint64_t id) {
  opening(id).let_in = false;
  actions_.emplace_back(Dismiss{open_door(id, opening(id))});
}

OpenDoor Openings::open_door(uint64_t id, const Opening& opening) {
  return {id,
          opening.terms->door,
          opening.source,
          opening.interface,
          render_command(opening.terms->stop, opening.source, opening.terms->prefix),
          opening.terms->admission,
          opening.deadline,
          opening.user.get(),
          opening.gateway.get(),
          opening.terms->admission ? OpenDoor().prefix : opening.terms->prefix};
}

DoorUse& Openings::use_of(const std::string& door) {
  return doors_.try_emplace(door, static_cast<LineNumber>(doors_.size() + 1)).first->second;
}

// To be called after each change that affects the part of the lane for an opening.
void Openings::arrange(uint64_t id) {
  Opening& moved = opening(id);
  const Part part = moved.part_of_lane();
  if (part == moved.part) return;
  lanes_.move(lane_of(moved), moved.part, part, id);
  moved.part = part;
}

void Openings::set_alarm(uint64_t id, std::optional<Instant> when) {
  Opening& set = opening(id);
  if (set.alarm) alarms_.erase({*set.alarm, id});
  set.alarm = when;
  if (when) alarms_.insert({*when, id});
}

void Openings::say(LogLevel level, const Opening& opening, const std::string& text) {
  actions_.emplace_back(Say{level, opening.source, opening.terms->door + ": " + text});
}

}  // namespace knockd
