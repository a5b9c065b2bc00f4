// SPDX-License-Identifier: MIT
// The real `Openings` in a world that keeps an independent ledger (openings_world.h): every order
// of events for two doors and two sources, to a depth, and millions of longer histories at random.
// In both, a crash may happen between any two events and leave any part of the unsynced data.
//
// KNOCKD_HISTORIES=N         number of random histories
// KNOCKD_HISTORY_SEED=N      repeats a run with this seed
// KNOCKD_HISTORY_DEPTH=N     number of events in each order
// KNOCKD_HISTORY="6: knock A1, sync, end 0"   replays one in setting 6 and prints what happens
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/knock/openings_history.h"

namespace knockd::openings_test {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// For debugging: the shortest failing history and what happened in it.
std::string report(uint64_t number, const History& failing, bool hanging) {
  const Setting setting = make_setting(number);
  const History history = shorten(setting, failing, hanging);
  std::vector<std::string> trace;
  std::string text = play(setting, history, hanging, &trace) + '\n' + to_text(setting);
  for (const std::string& line : trace) text += line + '\n';
  text += "\nKNOCKD_HISTORY=\"" + std::to_string(number) + (hanging ? " hanging" : "") + ": " +
          to_text(history) + "\"";
  return text;
}

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kDepth = 4;
constexpr uint64_t kHistories = 50'000;
#else
constexpr uint64_t kDepth = 5;
constexpr uint64_t kHistories = 300'000;
#endif

// --- Every order

// Each order starts from each of these, to reach beyond the usual course.
constexpr std::array<std::string_view, 5> kBeginnings = {
    "",
    "knock A1, sync, end 0",
    "knock A1, knock A2, sync, knock A1, sync",
    "knock A1, sync, knock B1, alarm",
    "knock A1, knock B2, sync, crash 0",
};

class Explorer {
 public:
  explicit Explorer(uint64_t number) : setting_(make_setting(number)) {}

  // Every order of `depth` events. False if one failed.
  bool explore(std::string_view beginning, size_t depth) {
    levels_.resize(depth);
    history_ = parse_history(beginning).value();
    World world(setting_);
    for (const Event& event : history_) world.apply(event);
    return world.failure().empty() && go_on(world, 0);
  }
  const History& history() const { return history_; }
  bool hanging() const { return hanging_; }
  uint64_t histories() const { return histories_; }

 private:
  bool go_on(const World& world, size_t depth) {
    if (depth == levels_.size()) return end(world);
    std::vector<Event>& events = levels_[depth];
    world.list_events(events);
    for (const Event& event : events) {
      if (is_mirrored(event)) continue;
      World next = world;
      history_.push_back(event);
      next.apply(event);
      if (!next.failure().empty() || !go_on(next, depth + 1)) return false;
      history_.pop_back();
    }
    return true;
  }
  // Sources are interchangeable, so the first to knock is source 1.
  bool is_mirrored(const Event& event) const {
    return is_knock(event) && event.b != 0 &&
           std::none_of(history_.begin(), history_.end(), is_knock);
  }
  static bool is_knock(const Event& event) { return event.kind <= Event::Kind::kKnockFull; }

  bool end(const World& world) {
    hanging_ = ++histories_ % 2 == 0;
    World last = world;
    last.drain(hanging_);
    return last.failure().empty();
  }

  const Setting setting_;
  std::vector<std::vector<Event>> levels_;
  History history_;
  bool hanging_ = false;
  uint64_t histories_ = 0;
};

class EveryOrder : public testing::TestWithParam<uint64_t> {};

TEST_P(EveryOrder, KeepsTheContract) {
  uint64_t depth = from_environment("KNOCKD_HISTORY_DEPTH", kDepth);
  if (GetParam() >= kFirstWithPorts) --depth;  // a refusing kernel adds one event
  Explorer explorer(GetParam());
  for (const std::string_view beginning : kBeginnings) {
    const bool kept = explorer.explore(beginning, beginning.empty() ? depth : depth - 2);
    ASSERT_TRUE(kept) << report(GetParam(), explorer.history(), explorer.hanging());
  }
  RecordProperty("histories", std::to_string(explorer.histories()));
}

INSTANTIATE_TEST_SUITE_P(Setting, EveryOrder, testing::Range(uint64_t{0}, kFixedSettings));

// --- At random

// Some events are more frequent, or most histories would be crashes without any opening.
Event choose(const std::vector<Event>& events, std::mt19937_64& random) {
  for (;;) {
    const Event event = events[random() % events.size()];
    const bool rare = event.kind >= Event::Kind::kCrash || event.kind == Event::Kind::kNever ||
                      event.kind == Event::Kind::kTryAgain;
    if (!rare || random() % 8 == 0) return event;
  }
}

TEST(RandomHistories, KeepTheContract) {
  const uint64_t histories = from_environment("KNOCKD_HISTORIES", kHistories);
  const uint64_t seed = from_environment("KNOCKD_HISTORY_SEED", std::random_device()());
  std::printf("KNOCKD_HISTORY_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  std::vector<Event> events;
  History history;
  uint64_t number = 0;
  Setting setting;
  for (uint64_t i = 0; i < histories; ++i) {
    if (i % 64 == 0) setting = make_setting(number = kFirstRandom + random() % 1'000'000'000);
    World world(setting);
    history.clear();
    const bool hanging = random() % 2 == 0;
    for (size_t length = 10 + random() % 40; length > 0; --length) {
      world.list_events(events);
      history.push_back(choose(events, random));
      world.apply(history.back());
      if (!world.failure().empty()) break;
    }
    world.drain(hanging);
    ASSERT_TRUE(world.failure().empty()) << report(number, history, hanging);
  }
}

// --- One again

TEST(OneHistory, KeepsTheContract) {
  const char* text = std::getenv("KNOCKD_HISTORY");
  if (text == nullptr) GTEST_SKIP() << "no KNOCKD_HISTORY";
  char* rest = nullptr;
  const uint64_t number = std::strtoull(text, &rest, 10);
  std::string_view events = rest;
  const bool hanging = events.starts_with(" hanging");
  if (hanging) events.remove_prefix(8);
  ASSERT_TRUE(events.starts_with(':')) << "expected NUMBER [hanging]: EVENT, EVENT, ...";
  const std::optional<History> history = parse_history(events.substr(1));
  ASSERT_TRUE(history) << "an event is none";
  const Setting setting = make_setting(number);
  std::vector<std::string> trace;
  const std::string failure = play(setting, *history, hanging, &trace);
  std::printf("%s", to_text(setting).c_str());
  for (const std::string& line : trace) std::printf("%s\n", line.c_str());
  EXPECT_EQ(failure, "");
}

}  // namespace
}  // namespace knockd::openings_test
