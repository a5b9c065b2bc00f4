// SPDX-License-Identifier: MIT
// The tracker's time per packet, by the number of remembered sources and by the number of doors.
//
//   knock_bench --benchmark_filter=Flood --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/knock/tracker.h"

namespace knockd {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class Counter : public TrackerSink {
 public:
  void on_event(const KnockEvent&) override { ++events; }
  uint64_t events = 0;
};

const IpAddress kOwn = IpAddress::from_v4(std::array<uint8_t, 4>{192, 0, 2, 1});

// An odd factor visits each address once, in an order that defeats caches.
IpAddress source_of(uint32_t number) {
  const uint32_t mixed = number * 2654435761u;
  return IpAddress::from_v4(
      std::array<uint8_t, 4>{static_cast<uint8_t>(mixed >> 24), static_cast<uint8_t>(mixed >> 16),
                             static_cast<uint8_t>(mixed >> 8), static_cast<uint8_t>(mixed)});
}

std::vector<DoorRule> doors_with_ports_of_their_own(size_t count) {
  std::vector<DoorRule> doors(count);
  uint16_t port = 1000;
  for (DoorRule& door : doors) {
    for (int i = 0; i < 3; ++i) door.sequence.push_back({++port, Protocol::kTcp});
    door.flags = {kTcpSyn, 0};
  }
  return doors;
}

// A door whose first knock is the first of those, with the codes of this many users: both address
// families, four steps.
std::vector<DoorRule> door_with_codes(size_t users) {
  const auto coded = std::get<CodedSequence>(parse_coded_sequence("1001,totp,totp,totp,totp"));
  DoorRule door;
  door.sequence = coded.sequence;
  door.places = coded.places;
  door.flags = {kTcpSyn, kTcpAck};
  std::minstd_rand random(1);
  for (size_t i = 0; i < users * 2 * 4; ++i) {
    Code code;
    for (uint16_t& port : code.ports) {
      port = static_cast<uint16_t>(kFirstComputedPort + random() % kComputedPorts);
    }
    door.codes.push_back(code);
  }
  std::ranges::sort(door.codes);
  return {door};
}

class Flood {
 public:
  explicit Flood(size_t door_count, uint32_t max_sources)
      : Flood(doors_with_ports_of_their_own(door_count), max_sources) {}
  Flood(std::vector<DoorRule> doors, uint32_t max_sources)
      : options_{.bounds = {.max_sources = max_sources}, .hash_key = *random_hash_key()},
        tracker_(std::move(doors), options_, counter_) {
    tracker_.set_own_addresses({kOwn});
    packet_.destination = kOwn;
    packet_.tcp_flags = kTcpSyn;
    packet_.length = 60;
  }

  // Handles packets in batches, as the listener does.
  void knock(uint32_t source, uint16_t port) {
    packet_.source = source_of(source);
    packet_.source_port = static_cast<uint16_t>(source);
    packet_.destination_port = port;
    ++packet_.tcp_sequence;
    read_[waiting_++] = packet_;
    if (waiting_ == read_.size()) {
      tracker_.handle(read_, now_);
      waiting_ = 0;
    }
  }
  void fill(uint32_t sources) {
    for (uint32_t source = 0; source < sources; ++source) knock(source, kFirstPort);
  }
  void pass(Duration time) { now_ += time; }
  void change(const std::vector<Code>& codes) { tracker_.set_codes({{0, 0, codes}}); }
  const Tracker& tracker() const { return tracker_; }

  static constexpr uint16_t kFirstPort = 1001;

 private:
  TrackerOptions options_;
  Counter counter_;
  Tracker tracker_;
  Packet packet_;
  std::array<Packet, 64> read_;
  size_t waiting_ = 0;
  Instant now_{seconds(1000)};
};

// First knocks from ever new sources into a full table: each evicts another.
void FloodOfNewSources(benchmark::State& state) {
  const auto sources = static_cast<uint32_t>(state.range(0));
  Flood flood(10, sources);
  flood.fill(sources);
  uint32_t source = sources;
  for (auto _ : state) flood.knock(source++, Flood::kFirstPort);
  state.counters["sources"] = flood.tracker().sources();
}
BENCHMARK(FloodOfNewSources)->RangeMultiplier(10)->Range(100, 1'000'000);

// First knocks from ever new sources, each of which expires.
void FloodThatTimesOut(benchmark::State& state) {
  const auto sources = static_cast<uint32_t>(state.range(0));
  Flood flood(10, sources + sources / 8);
  const Duration pause = seconds(25) / sources;
  uint32_t source = 0;
  const auto next = [&] {
    flood.pass(pause);
    flood.knock(source++, Flood::kFirstPort);
  };
  while (source < sources) next();
  for (auto _ : state) next();
  state.counters["sources"] = flood.tracker().sources();
}
BENCHMARK(FloodThatTimesOut)->RangeMultiplier(10)->Range(100, 1'000'000);

// Random sources that repeat their first knock.
void KnownSourcesAtRandom(benchmark::State& state) {
  const auto sources = static_cast<uint32_t>(state.range(0));
  Flood flood(10, sources);
  flood.fill(sources);
  std::minstd_rand random(1);
  for (auto _ : state) flood.knock(static_cast<uint32_t>(random()) % sources, Flood::kFirstPort);
}
BENCHMARK(KnownSourcesAtRandom)->RangeMultiplier(10)->Range(100, 1'000'000);

// Connection attempts at a port of no door by sources that are not remembered.
void StrangersAtOtherPorts(benchmark::State& state) {
  const auto sources = static_cast<uint32_t>(state.range(0));
  Flood flood(10, sources);
  flood.fill(sources);
  uint32_t source = sources;
  for (auto _ : state) flood.knock(source++, 443);
}
BENCHMARK(StrangersAtOtherPorts)->RangeMultiplier(10)->Range(100, 1'000'000);

// Whole knocks, one after another, at doors in turn.
void KnocksAtDoors(benchmark::State& state) {
  const auto doors = static_cast<uint32_t>(state.range(0));
  Flood flood(doors, 65536);
  uint32_t source = 0;
  for (auto _ : state) {
    const auto first = static_cast<uint16_t>(Flood::kFirstPort + 3 * (source % doors));
    for (uint16_t i = 0; i < 3; ++i) flood.knock(source, static_cast<uint16_t>(first + i));
    ++source;
  }
  state.SetItemsProcessed(3 * state.iterations());
}
BENCHMARK(KnocksAtDoors)->RangeMultiplier(10)->Range(1, 1'000);

// Whole knocks with codes, of users in turn.
void KnocksWithCodes(benchmark::State& state) {
  const auto users = static_cast<size_t>(state.range(0));
  const DoorRule door = door_with_codes(users).front();
  Flood flood({door}, 65536);
  uint32_t source = 0;
  for (auto _ : state) {
    flood.knock(source, Flood::kFirstPort);
    for (const uint16_t port : door.codes[source % door.codes.size()].ports) {
      flood.knock(source, port);
    }
    ++source;
  }
  state.SetItemsProcessed(5 * state.iterations());
}
BENCHMARK(KnocksWithCodes)->RangeMultiplier(10)->Range(1, 1'000);

// The cost of a change of step with this many sources at their first knock.
void ChangeOfStep(benchmark::State& state) {
  const auto sources = static_cast<uint32_t>(state.range(0));
  const DoorRule door = door_with_codes(20).front();
  Flood flood({door}, sources);
  flood.fill(sources);
  for (auto _ : state) flood.change(door.codes);
}
BENCHMARK(ChangeOfStep)->RangeMultiplier(100)->Range(100, 1'000'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace knockd
