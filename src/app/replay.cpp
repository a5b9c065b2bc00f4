// SPDX-License-Identifier: MIT
#include "knockd/app/replay.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "knockd/app/replay_summary.h"
#include "knockd/base/rate_limit.h"
#include "knockd/base/text.h"
#include "knockd/config/door_rules.h"
#include "knockd/config/door_terms.h"
#include "knockd/config/files.h"
#include "knockd/config/one_time_file.h"
#include "knockd/keeper/code_ledger.h"
#include "knockd/knock/event_text.h"
#include "knockd/knock/openings.h"
#include "knockd/knock/tracker.h"
#include "knockd/listener/capture.h"
#include "knockd/net/decoder.h"

namespace knockd {
namespace {

// A capture's clock is the wall clock, as an Instant since the epoch.
std::string stamp(Instant time) {
  const int64_t nanoseconds = time.time_since_epoch().count();
  const auto seconds = static_cast<time_t>(nanoseconds / 1'000'000'000);
  tm parts{};
  localtime_r(&seconds, &parts);
  return format("[%04d-%02d-%02d %02d:%02d:%02d.%06d] ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(nanoseconds % 1'000'000'000 / 1000));
}

// Each door's one-time sequences, used up only in memory.
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

  // Uses up a sequence and the skipped ones. Returns those in force afterwards.
  std::vector<Sequence> use(DoorNumber door, const Sequence& knocked,
                            const std::vector<Sequence>& skipped) {
    std::string& text = texts_[door];
    for (const size_t offset : lines_to_mark(text, knocked, skipped)) text[offset] = '#';
    return sequences_in_force(text);
  }

 private:
  std::map<size_t, std::string> texts_;
};

class Replay : TrackerSink {
 public:
  Replay(const Config& config, const ReplayOptions& options, const HashKey& hash_key)
      : config_(config),
        one_time_(config),
        codes_(config.doors),
        rules_(config.doors),
        tracker_(rules_.all(), tracker_options(config, options, hash_key), *this),
        explains_(options.explain),
        generations_(config.doors.size()),
        rate_(config.bounds.log_rate),
        terms_(config),
        summary_(config.doors, rules_) {
    codes_.renew();
  }

  bool has_memory() const { return tracker_.has_memory(); }

  // Advances time, handling events on the way at their own time. A capture's clock may have been
  // set back; time then stands still until it catches up.
  void advance(Instant time) {
    for (auto next = next_moment(); next && *next <= time; next = next_moment()) {
      now_ = std::max(now_, *next);
      tracker_.expire(now_);
      openings_.time_passed(now_);
      carry_out();
      if (rate_.refused() != 0 && now_ >= rate_.window_end()) tell_left_out();
    }
    now_ = std::max(now_, time);
  }

  void take(const Packet& packet) {
    follow_codes();
    tracker_.handle(packet, now_);
    for (const KnockEvent& event : opened_) {
      const DoorNumber door = rules_.door_of(event.door);
      if (event.generation != generation(door)) continue;  // a list may have a line twice
      CompleteKnock knock{terms_.of(door, event.source), event.source, "", event.stage, event.door};
      if (has_codes(door) && !may_open(knock, door, event)) continue;
      openings_.knocked(knock, now_);
      carry_out();
    }
    opened_.clear();
  }

  // Also prints the stop commands after the capture's end, at their time; then the outcome of each
  // source.
  void finish() {
    while (const auto next = next_moment()) advance(*next);
    if (!explains_) return;
    for (const std::string& line : summary_.lines()) std::printf("%s\n", line.c_str());
  }

  void explain(const Frame& frame, NotAPacket reason) const {
    print("frame of " + counted(frame.wire_length, "byte") + ": " + describe(reason));
  }

 private:
  static TrackerOptions tracker_options(const Config& config, const ReplayOptions& options,
                                        const HashKey& hash_key) {
    TrackerOptions result;
    result.bounds = config.bounds;
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

  // The time of the next event without a packet.
  std::optional<Instant> next_moment() const {
    std::optional<Instant> left_out;
    if (rate_.refused() != 0) left_out = rate_.window_end();
    return earliest(earliest(tracker_.next_expiry(), openings_.next_alarm()), left_out);
  }

  bool has_codes(DoorNumber door) const { return config_.doors[door].has_codes(); }
  uint32_t generation(DoorNumber door) const {
    return has_codes(door) ? codes_.generation() : generations_[door];
  }
  static int64_t unix_time(Instant time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  }
  int64_t unix_time() const { return unix_time(now_); }

  // Uses the codes of the capture's time.
  void follow_codes() {
    if (codes_.is_empty() || step_at(unix_time()) == step_) return;
    step_ = step_at(unix_time());
    tracker_.set_codes(codes_.codes(step_));
  }

  bool may_open(CompleteKnock& knock, DoorNumber door, const KnockEvent& event) {
    CodeLedger::Judgement judgement =
        codes_.judge(door, knock.source, event.code, unix_time(), unix_time(now_ - event.took),
                     event.guesses != 0);
    if (judgement.is_of_other_family) use_overheard(door, knock.source, event.code);
    knock.code = event.code;
    knock.user = std::move(judgement.user);
    if (explains_ || !(judgement.refused.empty() || judgement.is_of_other_family)) {
      print(code_line(source_text(knock.source, ""), config_.doors[door].name, judgement.text));
    }
    return judgement.refused.empty();
  }

  void use_overheard(DoorNumber door, const IpAddress& source, CodeTag code) {
    const auto overheard = codes_.overheard(door, source, code, unix_time());
    if (overheard) codes_.used().add(*overheard);
  }

  void on_event(const KnockEvent& event) override {
    if (explains_) summary_.on_event(event, now_);
    if (event.kind == EventKind::kOpen) {
      // The tracker is handling a packet: handle the event afterwards.
      return opened_.push_back(event);
    }
    // A wrong knock has no line; with -D its packet is explained.
    const DoorNumber number = rules_.door_of(event.door);
    const Door& door = config_.doors[number];
    if (event.kind == EventKind::kWrongCode) {
      if (codes_.wrong(number, unix_time())) print(too_many_wrong_codes_line(door.name));
      return;
    }
    if (event.kind == EventKind::kWrong || !rate_.allow(now_)) return;
    print(event_line(event, door.name, source_text(event.source, "")));
  }

  void on_explanation(const Explanation& explanation) override {
    summary_.on_explanation(explanation, now_);
    const DoorNumber door = rules_.door_of(explanation.door);
    print(explanation_line(explanation,
                           door == kNoDoor ? std::string_view() : config_.doors[door].name));
  }

  // Here commands end at once, and records are written at once.
  void carry_out() {
    for (auto actions = openings_.take_actions(); !actions.empty();
         actions = openings_.take_actions()) {
      for (const Action& action : actions) {
        std::visit([this](const auto& one) { carry_out(one); }, action);
      }
      openings_.recorded(now_);
    }
  }

  void carry_out(const Say& say) {
    if (say.may_be_left_out && !rate_.allow(now_)) return;
    print(say.source ? source_text(*say.source, "") + ": " + say.text : say.text);
  }

  void carry_out(const UseSequence& use) {
    const Door& door = config_.doors[use.door];
    if (has_codes(use.door)) {
      const int64_t time = unix_time();
      codes_.use(use.door, codes_.knock_of(use.door, use.source, use.code, time), time);
      use_overheard(use.door, use.source, use.code);
      return openings_.sequence_used(use.opening, true, now_);
    }
    const std::vector<Sequence> skipped = rules_.sequences_before(use.rule);
    const std::vector<Sequence> in_force =
        one_time_.use(use.door, rules_.sequence(use.rule), skipped);
    if (!skipped.empty()) print(skipped_sequences_line(door.name, skipped.size()));
    if (in_force.empty()) print(no_more_sequences_line(door.name, door.one_time_file));
    rules_.set_sequences(use.door, in_force);
    ++generations_[use.door];
    for (const DoorNumber rule : rules_.of_door(use.door)) {
      tracker_.set_sequence(rule, rules_.sequence(rule), generations_[use.door]);
    }
    openings_.sequence_used(use.opening, true, now_);
  }

  void carry_out(const Admit& admit) {
    if (admit.is_new) print(opened_line(admit.door, admit.door.deadline - now_, true));
    openings_.admitted(admit.door.id, true);
  }
  void carry_out(const Dismiss& dismiss) { print(closed_line(dismiss.door, true)); }
  void carry_out(const Record&) const {}
  void carry_out(const Forget&) const {}
  void carry_out(const Happened&) const {}

  void carry_out(const RunCommand& run) {
    print(would_run_line(run.door, run.command));
    openings_.ended(run.opening, run.kind, false, now_);
  }

  void tell_left_out() {
    const uint64_t lines = rate_.take_refused();
    if (lines != 0) print(left_out_line(lines, config_.bounds.log_rate));
  }

  const Config& config_;
  OneTimeLists one_time_;
  CodeLedger codes_;
  Step step_ = -1;
  DoorRules rules_;
  Tracker tracker_;
  const bool explains_;
  std::vector<uint32_t> generations_;
  RateLimit rate_;
  DoorTerms terms_;
  Openings openings_;
  ReplaySummary summary_;
  std::vector<KnockEvent> opened_;
  Instant now_{};
};

int fail(const std::string& why) {
  std::fprintf(stderr, "knockd: %s\n", why.c_str());
  return 1;
}

}  // namespace

int replay(const Config& config, const ReplayOptions& options) {
  auto opened = CaptureFile::create(options.capture_file);
  if (!opened) return fail(opened.error().text);
  CaptureFile& capture = *opened;
  const auto hash_key = random_hash_key();
  if (!hash_key) return fail(hash_key.error().text);
  for (const Door& door : config.doors) {
    if (!door.rule.sequence.empty()) continue;
    std::fprintf(stderr, "knockd: %s\n",
                 no_more_sequences_line(door.name, door.one_time_file).c_str());
  }
  Replay run(config, options, *hash_key);
  if (!run.has_memory()) {
    return fail("no memory for " + counted(config.bounds.max_sources, "source") + " (Max_Sources)");
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
