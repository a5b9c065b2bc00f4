// SPDX-License-Identifier: MIT
// The life of every opening, from a complete knock until its stop command has run, as one pure
// state machine: events go in by the methods, actions come out by take_actions(), without
// callbacks, and the clock is an argument. The keeper carries out the actions, replay prints them.
// tests/knock/openings_oracle_test.cpp plays every order of events, with a crash between any two.
//
//   knock -> kUsing -> kAdmitting -> kRecording -> kStartWaits -> kStartRuns -> kOpen -> kStopWaits
//            |one-time|  |let in         |on disk       |a place      |            |time over  |
//
//   -> kStopRuns -> over
//
// An opening with nothing to undo is over when its start command has ended. Ports without a command
// are open from before the start command until the time is over; the kernel keeps that time too, so
// they do not wait for the disk. Commands of one door and source never overlap, with one exception:
// a stop command waits for a running start command, but only kPatience. Then it overtakes; because
// the start may still do its work, the stop runs again when the start has ended.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/base/rare_text.h"
#include "knockd/knock/action.h"
#include "knockd/knock/command_queue.h"
#include "knockd/knock/door_use.h"
#include "knockd/knock/lanes.h"
#include "knockd/knock/opening.h"
#include "knockd/knock/refused_knocks.h"

namespace knockd {

struct OpeningLimits {
  size_t own_places = 256;     // doors with a place of their own, for starts and again for stops
  size_t shared_places = 32;   // further places, for starts and again for stops
  size_t waiting_starts = 64;  // of one door
};

// A complete knock.
struct CompleteKnock {
  std::shared_ptr<const Terms> terms;  // of the door, for this source
  IpAddress source;
  std::string interface;          // of the last packet; may be empty
  uint8_t stage = 1;              // knocks of the sequence
  DoorNumber rule = kNoDoor;      // of the tracker: the door's one-time sequence
  std::optional<CodeTag> code{};  // at a door with codes: the code and its user
  std::string user{};
  std::string gateway{};  // of the fleet, that was knocked at; empty: here
};

// Reports commands that wait this long while none ends.
inline constexpr Duration kStuckAfter = std::chrono::seconds(10);

class Openings {
 public:
  explicit Openings(const OpeningLimits& limits = {});

  // --- Events. Time must not go backwards. Each may add actions.

  // Takes over openings of an earlier run, each still to be undone. New ids follow theirs; an id
  // already in use is replaced.
  void take_up(const std::vector<OpenDoor>& doors, Instant now);
  void knocked(const CompleteKnock& knock, Instant now);
  // A person lets a source in: like its knock, but uses up no sequence and ignores cooldown.
  // `user`: the person's uid.
  struct ByHand {
    uint64_t id = 0;  // of the new or renewed opening; 0: refused
    bool is_new = true;
    std::string refused{};  // why
    Instant deadline{};     // until when it is open, if there is something to undo
  };
  ByHand open_by_hand(const CompleteKnock& knock, uint32_t user, Instant now);
  // The same on request of a gateway of the fleet, for the time of the terms. An opening of this
  // door and source that ends earlier gets the later end, whatever the terms' Reknock.
  ByHand open_by_gateway(const CompleteKnock& knock, Instant now);
  // A person ends the time of these. They close once that is recorded and time_passed() was called;
  // those that have not begun are dropped at once. Returns their ids, the oldest first.
  std::vector<uint64_t> close_by_hand(const Selection& selection, uint32_t user, Instant now);
  // Openings that are already closing: their time is over, and their stop has not ended.
  std::vector<uint64_t> closing(const Selection& selection) const;
  // The same as close_by_hand(), on request of a gateway of the fleet.
  std::vector<uint64_t> close_by_gateway(const Selection& selection, const std::string& gateway,
                                         Instant now);
  // A command without a knock, queued like those of a door of this name; runs as soon as possible,
  // also after shut_down().
  void run(const std::string& name, const std::string& command, Instant now);
  // `used`: the sequence was marked; else nothing opens.
  void sequence_used(uint64_t opening, bool used, Instant now);
  // The answer to Admit; without `in` nothing opens.
  void admitted(uint64_t opening, bool in);
  // All records are on disk, or could not be written.
  void recorded(Instant now);
  // `failed`: its status was not 0.
  void ended(uint64_t opening, CommandKind kind, bool failed, Instant now);
  // `reason` is the system's. `again`: a lack of processes or memory, so a retry may succeed.
  void could_not_run(uint64_t opening, CommandKind kind, std::string_view reason, bool again,
                     Instant now);
  // Handles what is due, at most `most` openings per call; next_alarm() is then still due.
  void time_passed(Instant now, size_t most = SIZE_MAX);
  // Ignores knocks from now on and drops starts that have not begun. `close`: undoes openings now,
  // at most `most` per call; true if some are left and it must be called again.
  bool shut_down(bool close, Instant now, size_t most = SIZE_MAX);

  // When time_passed() is due next.
  std::optional<Instant> next_alarm() const;
  std::vector<Action> take_actions() { return std::exchange(actions_, {}); }

  // --- State

  // Recorded openings with something to undo, oldest first.
  template <typename Visit>
  void for_each_open(Visit&& visit) const {
    for (const auto& [id, opening] : openings_) {
      if (opening.is_on_disk()) visit(open_door(id, opening));
    }
  }
  // The same; `visit` also gets the time of opening, unless it was in an earlier run.
  template <typename Visit>
  void for_each_since(Visit&& visit) const {
    for (const auto& [id, opening] : openings_) {
      if (opening.is_on_disk()) visit(open_door(id, opening), opening.since);
    }
  }
  size_t open() const { return open_; }  // their number
  bool knows(uint64_t id) const { return openings_.contains(id); }
  // False while it is being closed.
  bool is_open(uint64_t id) const { return knows(id) && openings_.at(id).state <= State::kOpen; }
  // Whether its start command has not ended.
  bool awaits_start(uint64_t id) const {
    return knows(id) && openings_.at(id).has_start() && openings_.at(id).state <= State::kStartRuns;
  }
  size_t running() const { return starts_.running() + stops_.running() + overtaken_; }
  // The number of waiting commands.
  size_t waiting() const { return waiting_; }

 private:
  enum class State : uint8_t {
    kUsing,       // its one-time sequence is being marked
    kAdmitting,   // waits for the answer to Admit
    kRecording,   // its record is being written
    kStartWaits,  // for a place, or for an earlier command of its door and source
    kStartRuns,
    kOpen,       // until its deadline
    kStopWaits,  // like kStartWaits
    kStopRuns,
    kStopped  // the stop has run, but its start was overtaken and still runs
  };
  enum class Why : uint8_t { kTimeout, kShutdown, kStartEnded };

  using Part = Lanes::Part;

  struct Opening {
    std::shared_ptr<const Terms> terms;
    IpAddress source;
    std::string interface;
    RareText user;                 // the owner of the code
    std::optional<CodeTag> code;   // with which it was opened here
    RareText gateway;              // that set the deadline; empty: opened here
    Instant deadline;              // of kStartRuns and kOpen
    Instant began;                 // its start command, if that runs
    std::optional<Instant> since;  // when it was recorded
    std::optional<Instant> alarm;  // deadline, end of patience or next try, by state
    LineNumber line = 0;
    State state = State::kUsing;
    Part part = Part::kRest;  // its part of the lane
    Why why = Why::kTimeout;
    uint8_t tries = 0;        // failures in a row to run its command
    bool queued = false;      // in starts_ or stops_, by its state
    bool start_runs = false;  // its start command is running, overtaken or not
    bool start_failed = false;
    bool holds_lane = false;     // its command runs and was not overtaken
    bool overtaken = false;      // its start command runs without a place
    bool stop_again = false;     // its overtaken start ended while the stop ran
    bool stop_reported = false;  // the reason was reported
    bool is_knock = true;        // else a command without a knock
    bool is_of_fleet = false;    // without a knock here
    bool let_in = false;         // the ports of its admission are open
    bool is_told = false;        // kOpened was reported
    bool by_hand = false;        // a person ended its time
    uint32_t uid = 0;            // of that person
    RareText closed_at{};        // the gateway where that was; empty: here

    bool has_start() const { return !terms->start.empty(); }
    bool has_stop() const { return !terms->stop.empty(); }
    bool has_something_to_undo() const { return terms->has_something_to_undo(); }
    bool has_not_begun() const { return state <= State::kStartWaits; }
    bool is_open() const { return state <= State::kOpen && has_something_to_undo(); }
    bool start_holds_lane() const { return holds_lane && start_runs && state != State::kStopRuns; }
    Part part_of_lane() const {
      if (holds_lane || (queued && state == State::kStopWaits)) return Part::kBusy;
      if (state == State::kStopWaits) return Part::kStops;
      return state == State::kStartWaits ? Part::kStarts : Part::kRest;
    }
    uint8_t prefix() const { return terms->admission ? terms->admission->prefix : terms->prefix; }
    bool is_on_disk() const { return state >= State::kRecording && has_something_to_undo(); }
  };
  static Lane lane_of(const Opening& opening) { return {opening.line, opening.source}; }
  static OpenDoor open_door(uint64_t id, const Opening& opening);
  DoorUse& use_of(const std::string& door);
  Opening& opening(uint64_t id) { return openings_.at(id); }
  void arrange(uint64_t id);

  ByHand open_at_once(const std::string& text, Instant now);
  std::vector<uint64_t> close(const Selection& selection, uint32_t user, const std::string& gateway,
                              Instant now);
  enum class Asked : uint8_t { kByKnock, kOnRequest };  // of a person or gateway
  std::string begin(const CompleteKnock& knock, Asked asked);
  std::string too_many(const CompleteKnock& knock, Asked asked) const;
  void add(uint64_t id, const CompleteKnock& knock);
  void remove(uint64_t id);
  void drop(uint64_t id);
  void use_code(const CompleteKnock& knock);
  void refuse(const CompleteKnock& knock, const std::string& why, Instant now);
  void report_refused(std::string line);
  static bool is_repeated(const Opening& opening, const Opening& knocking);
  std::optional<uint64_t> renewable(uint64_t id) const;
  uint64_t proceed(uint64_t id, Instant now);
  void begin_recording(uint64_t id);
  void record(uint64_t id, bool is_new);
  void admit(uint64_t id, bool is_new);
  void dismiss(uint64_t id);

  void set_alarm(uint64_t id, std::optional<Instant> when);
  void ring_due(const Lane& lane, Instant now);
  void ring(uint64_t id, Instant now);
  void want_stop(uint64_t id, Why why, Instant now);
  bool is_selected(const Opening& opening, const Selection& selection) const;
  void report_stop(Opening& opening);
  static std::string why_closed(const Opening& opening);
  static Happened::By closed_by(const Opening& opening);
  void forget(uint64_t id);
  void tell_open(uint64_t id, Happened::What what);
  Happened& tell(Happened::What what, OpenDoor door);
  void is_undone(uint64_t id);
  void overtake(const Lane& lane);
  void offer(const Lane& lane);
  void withdraw(uint64_t id);
  void run_what_can(Instant now);
  void report_stuck();
  void start_begins(uint64_t id, Instant now);
  void stop_begins(uint64_t id);
  void is_over(uint64_t id, CommandKind kind, bool failed, Instant now);
  void start_ended(uint64_t id, Instant now);
  void stop_ended(uint64_t id, Instant now);
  void say(LogLevel level, const Opening& opening, const std::string& text);

  const OpeningLimits limits_;
  std::map<std::string, DoorUse> doors_;  // by name, because openings outlast configurations
  std::map<uint64_t, Opening> openings_;
  uint64_t next_to_close_ = 0;  // at a shutdown
  Lanes lanes_;
  std::set<std::pair<Instant, uint64_t>> alarms_;
  CommandQueue starts_;
  CommandQueue stops_;
  std::vector<uint64_t> recording_;  // may include some that were dropped meanwhile
  std::vector<Action> actions_;
  uint64_t last_id_ = 0;
  size_t open_ = 0;
  size_t overtaken_ = 0;  // running starts without a place
  size_t waiting_ = 0;
  std::set<uint64_t> lacking_;  // stops that could not be run and are retried
  RefusedKnocks refused_;
  std::optional<Instant> stuck_since_;  // commands have waited since then, and none began
  bool stuck_reported_ = false;
  bool leaving_ = false;
};

}  // namespace knockd
