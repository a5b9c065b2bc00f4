// SPDX-License-Identifier: MIT
// A world around the real `Openings`: a clock, a disk that may lose its latest records in a crash,
// commands that run until they are ended, one-time sequences, a kernel that admits knockers until a
// time, and a ledger that derives the obligations of the contract (behaviour.md, sections 2, 4, 6
// and 9) from events and actions only. A violation ends the world with one sentence. A world can be
// copied, so an explorer can continue from one moment in every direction. Written from the
// contract, not from openings.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "knockd/knock/openings.h"

namespace knockd::openings_test {

inline constexpr size_t kDoors = 2;
inline constexpr size_t kSources = 2;
// How long a stop waits for a running start.
inline constexpr Duration kPatience = std::chrono::seconds(1);
// The time of an opening counts from the knock if its start begins no later than this.
inline constexpr Duration kPrompt = std::chrono::milliseconds(100);

// How often a person opens by hand; more would only add orders of events.
inline constexpr size_t kMostByHand = 1;
inline constexpr size_t kMostByGateway = 1;
// Ends that a gateway reports count as the same within this difference.
inline constexpr Duration kOnTheWay = std::chrono::milliseconds(10);

// Doors and limits of a world. It must outlive its worlds.
struct Setting {
  std::array<std::shared_ptr<const Terms>, kDoors> doors;
  OpeningLimits limits;
  int sequences = 4;  // in a door's one-time file
};

// What may happen next.
struct Event {
  enum class Kind : uint8_t {
    kKnock,          // at door a by source b
    kKnockUnmarked,  // the same, but its one-time sequence cannot be marked
    kKnockFull,      // the same, but the kernel refuses to admit
    kKnockByHand,    // a person opens door a for source b
    kGateway,        // a gateway of the fleet opens door a for source b, or extends that
    kShutByHand,     // and closes it
    kEnd,            // of running command a
    kTryAgain,       // running command a, just begun, could not be run
    kNever,          // the same, and it never can be
    kSync,           // the end of a turn
    kAlarm,          // time advances to the next alarm
    kHalf,           // or half of it, and the machine is called all the same
    kLate,           // or beyond: the machine is busy
    kCrash,          // a of the records that were not synced survive
    kClose,          // shut down, Shutdown = close
    kKeep,
    kLeave  // after a shutdown: the next machine
  };
  Kind kind = Kind::kKnock;
  uint8_t a = 0;
  uint8_t b = 0;
};

class World {
 public:
  explicit World(const Setting& setting);

  // Ignores an event that cannot happen now.
  void apply(const Event& event);
  // All events that can happen now.
  void list_events(std::vector<Event>& events) const;
  // Commands end, time advances and nothing may remain. `hanging`: starts end last.
  void drain(bool hanging);

  // The first violation of the contract, or empty.
  const std::string& failure() const { return failure_; }
  // Writes events and actions there from now on.
  void set_trace(std::vector<std::string>* trace) { trace_ = trace; }
  bool is_leaving() const { return leaving_; }
  size_t restarts() const { return restarts_; }

 private:
  // What the ledger knows of an opening.
  struct Life {
    uint64_t id = 0;  // 0: not known yet
    uint8_t door = 0;
    uint8_t source = 0;
    bool has_start = false;
    bool has_stop = false;
    bool has_ports = false;  // admitted to without a command
    bool let_in = false;     // to them, and not yet dismissed
    bool dismissed = false;
    bool kernel_refused = false;  // to renew the time: it stays what it was
    bool marked = false;          // its one-time sequence
    bool synced = false;          // its record, and all of its turn
    bool begun = false;           // its start, or there is none and it is recorded
    bool start_running = false;
    bool start_again = false;  // will be retried
    bool stop_running = false;
    bool stop_follows = false;  // the running stop began when the start had ended
    bool stop_again = false;    // will be retried
    bool stopped_once = false;
    bool stop_failed = false;  // for good
    bool closed = false;       // a stop has ended that followed the start
    bool dropped = false;      // by hand, before it began
    bool of_gateway = false;   // by whose word it has its deadline
    bool of_fleet = false;     // nobody knocked for it here
    Instant knocked;           // last
    Instant deadline;
    Instant in_until;  // what the kernel was last asked for, and took
    Instant tried;     // in vain, its command

    bool has_something_to_undo() const { return has_stop || has_ports; }
  };
  // Of the kernel's: an opening's source is in until a time, by itself.
  struct Element {
    uint64_t opening = 0;
    uint8_t door = 0;
    Instant until;
  };
  struct Process {
    uint64_t opening = 0;
    CommandKind kind = CommandKind::kStart;
    uint8_t door = 0;
    uint8_t source = 0;
    Instant began;
    bool runs = false;       // that it could not be run would have been said by now
    bool overtaken = false;  // a start that a stop did not wait for any longer holds up nobody
  };
  struct Entry {
    bool forget = false;
    OpenDoor door;
  };
  enum class Answer : uint8_t { kIgnored, kRenewed, kRefused, kOpened, kRefusedOrOpened };
  enum class Mishap : uint8_t { kNone, kUnmarked, kFull };

  // --- Events
  void knock(size_t door, size_t source, Mishap mishap, bool by_hand = false);
  // Lets the machine hear of it. The id of what a person opened; 1 for a knock that is not refused.
  uint64_t let_knock(size_t door, size_t source, bool by_hand, std::vector<Action>& batch);
  void open_by_gateway(size_t door, size_t source);
  void shut(size_t door, size_t source);
  static bool opens(const Terms& terms, Mishap mishap);
  void check_knock(Answer answer, const Terms& terms, size_t entries);
  void end(size_t process);
  void could_not_run(size_t process, bool again);
  void sync();
  void bring_to_disk();
  void pass_time(Instant when, bool ask);
  void restart(size_t surviving);
  void shut_down(bool close);

  // --- Actions
  void carry_out();
  void carry_out(const std::vector<Action>& batch);
  void carry_out(const Say& say);
  void carry_out(const UseSequence& use);
  void carry_out(const Admit& admit);
  void carry_out(const Dismiss& dismiss);
  void carry_out(const Record& record);
  void carry_out(const Forget& forget);
  void carry_out(const RunCommand& run);
  void carry_out(const Happened& happened);
  void begin_start(const RunCommand& run, Life& life);
  void begin_stop(const RunCommand& run, Life& life);
  void count_refusal(size_t door, const std::string& text);

  // --- The ledger
  Answer expected_answer(size_t door, size_t source, bool by_hand);
  Life new_life(size_t door, size_t source) const;
  size_t most_of_source(size_t of_others) const;
  Life* life(uint64_t id);
  Life* life_of_new(uint64_t id, size_t door, size_t source);
  void erase(uint64_t id);
  Life* renewable(size_t door, size_t source);
  bool is_due(const Life& life) const;
  bool has_pending_sync() const;
  bool holds_lane(const Process& process, const Life& life) const;
  bool can_overtake(const Process& process) const;
  bool needs_place(const Process& process) const;
  bool lane_has_due_stop(size_t door, size_t source) const;
  bool has_place(CommandKind kind, size_t door) const;
  const OpenDoor* on_disk(uint64_t id) const;  // synced or not
  const OpenDoor* is_durable(uint64_t id) const;
  const Element* element(uint64_t id) const;

  void settle();
  void check();
  void check_limits();
  void check_ports(const Life& life, std::optional<Instant> alarm);
  void check_in(const Life& life, const char* what);
  void check_stop(const Life& life, std::optional<Instant> alarm);
  void check_start(const Life& life);
  void check_drained();
  static size_t source_number(const IpAddress& source);
  size_t door_number(const std::string& name) const;
  bool require(bool holds, const char* what) {
    if (!holds && failure_.empty()) failure_ = what;
    return holds;
  }
  void trace(const std::string& line) const;

  const Setting* setting_;
  std::vector<std::string>* trace_ = nullptr;
  std::optional<Openings> machine_;
  Instant now_ = Instant(std::chrono::seconds(1000));
  std::optional<Instant> last_end_;  // of a command
  std::vector<Life> lives_;          // in the order of their knocks
  std::vector<Process> processes_;
  std::vector<OpenDoor> durable_;
  std::vector<Entry> unsynced_;
  std::vector<Element> elements_;
  std::set<uint64_t> told_;  // to be open, and not to be closed
  std::array<int, kDoors> sequences_{};
  std::array<std::optional<Instant>, kDoors> cooling_until_;
  std::array<uint64_t, kDoors> refused_{};                              // not yet reported
  std::array<std::array<std::optional<Instant>, 3>, kDoors> reported_;  // by door and reason
  std::string failure_;
  uint64_t last_taken_ = 0;  // number of an opening taken up
  uint64_t kept_out_ = 0;    // of the last that the kernel let in nowhere
  size_t restarts_ = 0;
  size_t hand_ = 0;                // times that a person let somebody in
  size_t gateway_ = 0;             // and that a gateway did
  Mishap mishap_ = Mishap::kNone;  // of the knock that is being carried out
  bool sesame_ = false;            // said by the knock that is being carried out
  bool ran_ = false;               // by the event that is being carried out, a command
  bool started_ = false;           // and a start
  bool leaving_ = false;
  bool closing_ = false;  // leaving, and every stop is due
};

}  // namespace knockd::openings_test
