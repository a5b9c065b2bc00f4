// SPDX-License-Identifier: MIT
// A small language for the tests of `Openings`: each action is one line of text.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/knock/openings.h"

namespace knockd {

class OpeningsTest : public testing::Test {
 protected:
  explicit OpeningsTest(const OpeningLimits& limits = {}) : openings_(limits) {}

  static constexpr const char* kAlice = "192.0.2.7";
  static constexpr const char* kBob = "2001:db8::b";
  static inline const Admission kSsh{{{22, Protocol::kTcp}}, {}, 128};

  // A door with both commands that is open for ten seconds; `change` may modify its terms.
  template <typename Change>
  static std::shared_ptr<const Terms> door(const char* name, Change&& change) {
    Terms terms;
    terms.door = name;
    terms.start = "open %IP%";
    terms.stop = "close %IP%";
    change(terms);
    return std::make_shared<const Terms>(std::move(terms));
  }
  static std::shared_ptr<const Terms> door(const char* name) {
    return door(name, [](Terms&) {});
  }

  void knock(const std::shared_ptr<const Terms>& door, const char* source = kAlice) {
    openings_.knocked({door, *IpAddress::parse(source), "eth0", 3}, now());
  }
  static std::string neighbour(int number) { return "192.0.2." + std::to_string(number); }
  // A door with ports and no commands.
  template <typename Change>
  static std::shared_ptr<const Terms> port_door(const char* name, Change&& change) {
    return door(name, [&](Terms& terms) {
      terms.start.clear();
      terms.stop.clear();
      terms.admission = kSsh;
      change(terms);
    });
  }
  static std::shared_ptr<const Terms> port_door(const char* name) {
    return port_door(name, [](Terms&) {});
  }
  // The kernel has admitted the knocker.
  void let_in(uint64_t opening) { openings_.admitted(opening, true); }
  // Everything is on disk.
  void sync() { openings_.recorded(now()); }
  void start_ends(uint64_t opening) { openings_.ended(opening, CommandKind::kStart, false, now()); }
  void stop_ends(uint64_t opening) { openings_.ended(opening, CommandKind::kStop, false, now()); }
  void could_not_run(uint64_t opening, CommandKind kind, bool again) {
    openings_.could_not_run(
        opening, kind, again ? "Cannot allocate memory" : "Argument list too long", again, now());
  }
  // Advances the time to this many milliseconds since the beginning, from alarm to alarm.
  void time_is(int64_t ms) {
    const Instant end{std::chrono::milliseconds(ms)};
    while (openings_.next_alarm() && *openings_.next_alarm() <= end) {
      now_ = *openings_.next_alarm();
      openings_.time_passed(now_);
    }
    now_ = end;
    openings_.time_passed(now_);
  }
  Instant now() const { return now_; }
  static OpenDoor recorded_door(uint64_t id, const char* name, int64_t deadline_ms) {
    return {id,
            name,
            *IpAddress::parse(kAlice),
            "eth0",
            "close 192.0.2.7",
            {},
            Instant(std::chrono::milliseconds(deadline_ms))};
  }
  // The same with ports alone.
  static OpenDoor recorded_port_door(uint64_t id, const char* name, int64_t deadline_ms) {
    OpenDoor door = recorded_door(id, name, deadline_ms);
    door.stop_command.clear();
    door.admission = kSsh;
    return door;
  }

  // What happened since the last call.
  std::vector<std::string> happened() {
    std::vector<std::string> lines;
    for (const Action& action : openings_.take_actions()) {
      if (const auto* const told = std::get_if<Happened>(&action)) {
        told_.push_back(text(*told));
      } else {
        lines.push_back(std::visit([](const auto& one) { return text(one); }, action));
      }
    }
    return lines;
  }
  // The events sent to followers of the daemon, up to the last call of happened().
  std::vector<std::string> told() { return std::exchange(told_, {}); }
  // Only the commands that were run.
  std::vector<std::string> commands() {
    std::vector<std::string> lines = happened();
    std::erase_if(lines, [](const std::string& line) { return !line.starts_with("run"); });
    return lines;
  }
  void forget_what_happened() { openings_.take_actions(); }

  Openings openings_;
  uint64_t last_ = 0;  // id, for tests that count them

 private:
  static std::string number(uint64_t id) { return std::to_string(id); }
  static std::string text(const Say& say) {
    return (say.source ? say.source->to_string() + ": " : "") + say.text;
  }
  static std::string text(const UseSequence& use) {
    return "use a sequence for " + number(use.opening);
  }
  static std::string until(const OpenDoor& door) {
    const auto time =
        std::chrono::duration_cast<std::chrono::milliseconds>(door.deadline.time_since_epoch());
    return number(door.id) + " until " + std::to_string(time.count()) + " ms";
  }
  static std::string text(const Admit& admit) {
    return (admit.is_new ? "let in " : "let in again ") + until(admit.door);
  }
  static std::string text(const Dismiss& dismiss) { return "dismiss " + number(dismiss.door.id); }
  static std::string text(const Record& record) {
    const std::string& stop = record.door.stop_command;
    return (record.is_new ? "record " : "record anew ") + until(record.door) +
           (stop.empty() ? "" : ", then " + stop);
  }
  static std::string text(const Forget& forget) { return "forget " + number(forget.door.id); }
  static std::string text(const Happened& told) {
    constexpr std::array kWhat = {"opened ", "renewed ", "closed ", "refused "};
    const std::string what = kWhat[static_cast<size_t>(told.what)];
    const std::string why = told.why.empty() ? "" : ": " + told.why;
    if (told.what == Happened::What::kRefused) {
      return what + told.door.door + " to " + told.door.source.to_string() + " at " +
             told.door.interface + why;
    }
    const bool has_time = told.what <= Happened::What::kRenewed;
    return what + told.door.door + " " + (has_time ? until(told.door) : number(told.door.id)) + why;
  }
  static std::string text(const RunCommand& run) {
    return std::string(run.again ? "run again " : "run ") + number(run.opening) + ": " +
           run.command + " (" + run.door + ", " + run.interface + ")";
  }

  Instant now_{};
  std::vector<std::string> told_;
};

}  // namespace knockd
