// SPDX-License-Identifier: MIT
#include "knockd/app/replay.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "knockd/base/rate_limit.h"
#include "knockd/base/text.h"
#include "knockd/config/files.h"
#include "knockd/config/one_time_file.h"
#include "knockd/knock/command_template.h"
#include "knockd/knock/event_text.h"
#include "knockd/knock/open_doors.h"
#include "knockd/knock/tracker.h"
#include "knockd/listener/capture.h"

namespace knockd {
namespace {

// The clock of a capture is the wall clock's time since the epoch, as an Instant.
std::string stamp(Instant time) {
  const int64_t nanoseconds = time.time_since_epoch().count();
  const auto seconds = static_cast<time_t>(nanoseconds / 1'000'000'000);
  tm parts{};
  localtime_r(&seconds, &parts);
  return format("[%04d-%02d-%02d %02d:%02d:%02d.%06d] ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(nanoseconds % 1'000'000'000 / 1000));
}

// Each door's one-time sequences, used up in memory alone.
class OneTimeLists {
 public:
  explicit OneTimeLists(const Config& config) {
    SystemFiles files;
    for (size_t door = 0; door < config.doors.size(); ++door) {
      if (config.doors[door].one_time_file.empty()) continue;
      auto text = files.read(config.doors[door].one_time_file);
      if (auto* read = std::get_if<std::string>(&text)) texts_[door] = std::move(*read);
    }
  }

  // The sequence after the one in force; empty if that was the last.
  Sequence next(DoorNumber door) {
    std::string& text = texts_[door];
    if (const auto used = find_one_time_sequence(text)) text[used->offset] = '#';
    const auto following = find_one_time_sequence(text);
    return following ? following->sequence : Sequence();
  }

 private:
  std::map<size_t, std::string> texts_;
};

class Replay : TrackerSink {
 public:
  Replay(const Config& config, const ReplayOptions& options, const HashKey& hash_key)
      : config_(config),
        one_time_(config),
        tracker_(rules(config), tracker_options(config, options, hash_key), *this),
        generations_(config.doors.size()),
        rate_(config.log_rate) {}

  bool has_memory() const { return tracker_.has_memory(); }

  // Lets time pass, with what happens on the way at its own time. A capture's clock may have been
  // set back; here time stands still until it is caught up.
  void advance(Instant time) {
    for (auto next = next_moment(); next && *next <= time; next = next_moment()) {
      now_ = std::max(now_, *next);
      tracker_.expire(now_);
      for (const uint64_t id : doors_.due(now_)) close(id);
      if (rate_.refused() != 0 && now_ >= rate_.window_end()) tell_left_out();
    }
    now_ = std::max(now_, time);
  }

  void take(const Packet& packet) {
    tracker_.handle(packet, now_);
    for (const KnockEvent& event : opened_) open(event);
    opened_.clear();
  }

  // What a capture's end leaves open is told as well: stop commands at their time.
  void finish() {
    while (const auto next = next_moment()) advance(*next);
  }

  void explain(const Frame& frame, NotAPacket reason) const {
    print(format("frame of %u bytes: %s", frame.wire_length, describe(reason)));
  }

 private:
  static std::vector<DoorRule> rules(const Config& config) {
    std::vector<DoorRule> rules;
    for (const Door& door : config.doors) rules.push_back(door.rule);
    return rules;
  }

  static TrackerOptions tracker_options(const Config& config, const ReplayOptions& options,
                                        const HashKey& hash_key) {
    TrackerOptions result;
    result.max_sources = config.max_sources;
    result.scan_limit = config.scan_limit;
    result.any_destination = true;
    result.explain = options.explain;
    result.hash_key = hash_key;
    return result;
  }

  static std::optional<Instant> earliest(std::optional<Instant> a, std::optional<Instant> b) {
    return a && b ? std::min(*a, *b) : a ? a : b;
  }

  void print(const std::string& line) const {
    std::printf("%s%s\n", stamp(now_).c_str(), line.c_str());
  }

  // When something happens next without a packet.
  std::optional<Instant> next_moment() const {
    std::optional<Instant> left_out;
    if (rate_.refused() != 0) left_out = rate_.window_end();
    return earliest(earliest(tracker_.next_expiry(), doors_.next_due()), left_out);
  }

  void on_event(const KnockEvent& event) override {
    if (event.kind == EventKind::kOpen) {
      // The tracker is in the middle of a packet: what needs it waits until it is done.
      opened_.push_back(event);
    } else if (!rate_.allow(now_)) {
      return;
    }
    for (const std::string& line :
         event_lines(event, config_.doors[event.door].name, source_text(event.source, ""))) {
      print(line);
    }
  }

  void on_explanation(const Explanation& explanation) override {
    print(explanation_line(explanation, explanation.door == kNoDoor
                                            ? std::string_view()
                                            : config_.doors[explanation.door].name));
  }

  void open(const KnockEvent& event) {
    const Door& door = config_.doors[event.door];
    if (!door.one_time_file.empty()) {
      Sequence next = one_time_.next(event.door);
      if (next.empty()) print(no_more_sequences_line(door.name, door.one_time_file));
      tracker_.set_sequence(event.door, std::move(next), ++generations_[event.door]);
    }
    const std::string& stop = door.stop_command_for(event.source);
    const OpenDoor* const open = doors_.find(door.name, event.source);
    if (!stop.empty() && open != nullptr && door.reknock != Reknock::kRun) {
      if (door.reknock == Reknock::kExtend) doors_.extend(open->id, now_ + door.cmd_timeout);
      return print(format("%s: %s: already open%s", event.source.to_string().c_str(),
                          door.name.c_str(),
                          door.reknock == Reknock::kExtend ? ", time extended" : ""));
    }
    const std::string& start = door.start_command_for(event.source);
    if (!start.empty()) would_run(door.name, render_command(start, event.source));
    if (stop.empty()) return;
    doors_.open({++last_id_, door.name, event.source, "", render_command(stop, event.source),
                 now_ + door.cmd_timeout});
  }

  void close(uint64_t id) {
    const OpenDoor& door = *doors_.find(id);
    print(format("%s: %s: command timeout", door.source.to_string().c_str(), door.door.c_str()));
    would_run(door.door, door.stop_command);
    doors_.closed(id);
  }

  void would_run(const std::string& door, const std::string& command) const {
    print(door + ": would run: " + command);
  }

  void tell_left_out() {
    const auto lines = static_cast<unsigned long long>(rate_.take_refused());
    if (lines != 0) {
      print(format("%llu log lines left out, more than %u a second (Log_Rate)", lines,
                   config_.log_rate));
    }
  }

  const Config& config_;
  OneTimeLists one_time_;
  Tracker tracker_;
  std::vector<uint32_t> generations_;
  RateLimit rate_;
  OpenDoors doors_;
  std::vector<KnockEvent> opened_;
  uint64_t last_id_ = 0;
  Instant now_{};
};

int fail(const std::string& why) {
  std::fprintf(stderr, "knockd: %s\n", why.c_str());
  return 1;
}

}  // namespace

int replay(const Config& config, const ReplayOptions& options) {
  CaptureFile capture(options.capture_file);
  if (capture.fault()) return fail(capture.fault()->text);
  const auto hash_key = random_hash_key();
  if (!hash_key) return fail(hash_key.error().text);
  for (const Door& door : config.doors) {
    if (!door.rule.sequence.empty()) continue;
    std::fprintf(stderr, "knockd: %s\n",
                 no_more_sequences_line(door.name, door.one_time_file).c_str());
  }
  Replay run(config, options, *hash_key);
  if (!run.has_memory()) {
    return fail(format("no memory for %u sources (Max_Sources)", config.max_sources));
  }
  while (const std::optional<Frame> frame = capture.next()) {
    const Decoded decoded = decode(capture.link_type(), frame->captured, frame->wire_length);
    run.advance(frame->time);
    if (!decoded.packet) {
      if (options.explain) run.explain(*frame, decoded.reason);
    } else if (!options.only_v4 || decoded.packet->destination.is_v4()) {
      run.take(*decoded.packet);
    }
  }
  run.finish();
  std::fflush(stdout);
  if (!capture.cut_short().empty()) {
    std::fprintf(stderr, "knockd: %s: the capture is cut short, replayed up to there: %s\n",
                 options.capture_file.c_str(), capture.cut_short().c_str());
  }
  return 0;
}

}  // namespace knockd
