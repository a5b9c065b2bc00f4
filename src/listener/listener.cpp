// SPDX-License-Identifier: MIT
#include "knockd/listener/listener.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "knockd/base/event_loop.h"
#include "knockd/base/privileges.h"
#include "knockd/base/text.h"
#include "knockd/knock/tracker.h"
#include "knockd/listener/capture.h"
#include "knockd/listener/reporter.h"
#include "knockd/listener/sandbox.h"
#include "knockd/net/decoder.h"

namespace knockd {
namespace {

// A single packet is handled at once. Packets that arrive faster than this are handled together: a
// flood then costs a thousand wake-ups a second, not one per packet.
constexpr Duration kShortestPause = std::chrono::milliseconds(1);
// Frames between two reads of the clock.
constexpr int kMostFramesAtOnce = 4096;
// After this many frames in one pause more will follow, and another pause is cheaper than waiting
// for the next frame. The number of pauses in a row is limited, so that the keeper's messages and
// alarms are handled.
constexpr size_t kFramesOfAFlood = 2;
constexpr int kMostReadsInARow = 8;

Trouble trouble(CaptureTrouble kind, std::string_view text) {
  Trouble message;
  message.kind = kind;
  text.copy(message.text.data(), message.text.size() - 1);
  return message;
}

TrackerOptions tracker_options(const ListenerSettings& settings, const HashKey& hash_key) {
  TrackerOptions options;
  options.bounds = settings.bounds;
  options.explain = settings.explain;
  options.hash_key = hash_key;
  return options;
}

class Listener : LiveCapture::Handler {
 public:
  Listener(const ListenerSettings& settings, const Channel& channel, LiveCapture capture,
           const HashKey& hash_key)
      : settings_(settings),
        channel_(channel),
        capture_(std::move(capture)),
        reporter_(channel_, loop_, settings.bounds.log_rate, settings.doors.size()),
        tracker_(settings.doors, tracker_options(settings, hash_key), reporter_),
        expiry_(loop_, [this] { tracker_.expire(loop_.now()); }),
        left_out_(loop_, [this] { reporter_.report_left_out(); }) {}

  int run() {
    if (!tracker_.has_memory()) {
      return fail(
          CaptureTrouble::kOther,
          "no memory for " + counted(settings_.bounds.max_sources, "source") + " (Max_Sources)");
    }
    take_up_generations();
    const bool in_kernel = set_addresses(settings_.own_addresses);
    loop_.watch(capture_.fd(), EPOLLIN, [this] { on_capture(); });
    watch_channel();
    if (loop_.fault()) return fail(CaptureTrouble::kOther, loop_.fault()->text);
    if (const Status entered = enter_sandbox({channel_.fd(), capture_.fd()}); !entered) {
      return fail(CaptureTrouble::kSandbox, entered.error().text);
    }
    report_listening(in_kernel);
    running_ = true;
    while (running_) {
      expiry_.set(failed_ ? std::nullopt : tracker_.next_expiry());
      left_out_.set(failed_ ? std::nullopt : reporter_.report_due());
      if (reporter_.waits() != awaits_room_) watch_channel();
      loop_.turn();
    }
    return 0;
  }

 private:
  void send(const FromListener& message) { channel_.send_waiting(encode(message)); }

  int fail(CaptureTrouble kind, std::string_view text) {
    send(trouble(kind, text));
    return 1;
  }

  void report_listening(bool in_kernel) {
    send(Listening{static_cast<uint8_t>(in_kernel ? 1 : 0), capture_.link_type()});
  }

  void take_up_generations() {
    for (size_t door = 0; door < settings_.generations.size(); ++door) {
      if (settings_.generations[door] == 0) continue;
      tracker_.set_sequence(static_cast<DoorNumber>(door), settings_.doors[door].sequence,
                            settings_.generations[door]);
    }
  }

  void stop() { running_ = false; }

  // Hears nothing more; but the keeper may ask for the counts before it closes the channel.
  void give_up() {
    failed_ = true;
    loop_.unwatch(capture_.fd());
    reporter_.drop_all();
  }

  // Watches for the keeper's messages, and for room when messages to it are waiting.
  void watch_channel() {
    awaits_room_ = reporter_.waits();
    loop_.watch(channel_.fd(), awaits_room_ ? EPOLLIN | EPOLLOUT : EPOLLIN, [this] {
      reporter_.flush();
      on_channel();
    });
  }

  void on_capture() {
    if (loop_.now() - last_read_ < kShortestPause) rest();
    for (int reads = 1; read_frames() >= kFramesOfAFlood && reads < kMostReadsInARow; ++reads) {
      rest();
    }
    last_read_ = loop_.now();
  }

  void rest() {
    constexpr timespec kPause{0, std::chrono::nanoseconds(kShortestPause).count()};
    nanosleep(&kPause, nullptr);
    loop_.refresh_clock();
  }

  // Returns the number of frames; 0 once the capture has failed.
  size_t read_frames() {
    const auto frames = capture_.read(*this, kMostFramesAtOnce);
    hand_over();
    if (frames) return *frames;
    send(trouble(frames.error().kind, frames.error().text));
    give_up();
    return 0;
  }

  void on_frame(const Frame& frame) override {
    Packet& packet = packets_[waiting_];
    if (decode_into(packet, capture_.link_type(), frame.captured, frame.wire_length)) return;
    if (settings_.only_v4 && !packet.destination.is_v4()) return;
    if (++waiting_ == packets_.size()) hand_over();
  }

  // Passes packets that were read together to the tracker together, which is faster.
  void hand_over() {
    tracker_.handle(std::span<const Packet>(packets_.data(), waiting_), loop_.now());
    waiting_ = 0;
  }

  void on_channel() {
    for (;;) {
      const Channel::Received received = channel_.receive(buffer_);
      if (received.kind == Channel::Received::Kind::kNothing) return;
      // Without a keeper there is nothing to do.
      if (received.kind == Channel::Received::Kind::kClosed) return stop();
      const auto message =
          decode_to_listener(std::span<const uint8_t>(buffer_.data(), received.length));
      if (message) std::visit([this](const auto& body) { on_message(body); }, *message);
    }
  }

  void on_message(const AddressPart& part) {
    if (failed_) return;  // it listens no more, whatever the addresses
    if (part.first != 0) new_addresses_.clear();
    new_addresses_.insert(new_addresses_.end(), part.addresses.begin(),
                          part.addresses.begin() + part.count);
    if (part.last == 0) return;
    report_listening(set_addresses(new_addresses_));
  }

  void on_message(const NextSequence& next) {
    if (next.door >= settings_.doors.size()) return;
    Sequence sequence(next.knocks.begin(), next.knocks.begin() + next.count);
    settings_.doors[next.door].sequence = sequence;
    tracker_.set_sequence(next.door, std::move(sequence), next.generation);
    set_filter();
  }

  void on_message(const CodesPart& part) {
    if (part.door >= settings_.doors.size()) return;
    if (part.first != 0) new_codes_.push_back({part.door, part.generation, {}});
    if (new_codes_.empty()) return;
    auto& codes = new_codes_.back().codes;
    codes.insert(codes.end(), part.codes.begin(), part.codes.begin() + part.count);
    if (part.last == 0) return;
    tracker_.set_codes(std::exchange(new_codes_, {}));
    reporter_.codes_changed();
  }

  void on_message(const StatusRequest&) {
    const LiveCapture::Counts counts = capture_.counts();
    reporter_.answer({counts.packets, counts.dropped, tracker_.sources(), 0});
  }

  bool set_addresses(const std::vector<IpAddress>& addresses) {
    settings_.own_addresses = addresses;
    tracker_.set_own_addresses(addresses);
    return set_filter();
  }

  bool set_filter() {
    CaptureWishes wishes{settings_.own_addresses, settings_.doors, settings_.bounds.scan_limit != 0,
                         settings_.only_v4, false};
    // -D also explains packets whose flags do not match. (Not packets to any port: it would report
    // the ssh session in which its output is read.)
    if (settings_.explain) {
      for (DoorRule& door : wishes.doors) door.flags = {};
    }
    const FilterLayout layout = capture_.filter_layout();
    return capture_.set_filter(make_capture_filter(wishes, layout)) ||
           capture_.set_filter(make_capture_filter(wishes, layout, kSmallFilterInstructions));
  }

  ListenerSettings settings_;
  const Channel& channel_;
  LiveCapture capture_;
  EventLoop loop_;
  Reporter reporter_;
  Tracker tracker_;
  std::array<Packet, 64> packets_;  // read, but not yet passed to the tracker
  size_t waiting_ = 0;
  EventLoop::Alarm expiry_;
  EventLoop::Alarm left_out_;
  std::vector<IpAddress> new_addresses_;
  std::vector<DoorCodes> new_codes_;
  std::array<uint8_t, kLongestMessage> buffer_{};
  Instant last_read_{};
  bool awaits_room_ = false;
  bool failed_ = false;
  bool running_ = false;
};

}  // namespace

int run_listener(const ListenerSettings& settings, Channel channel) {
  prctl(PR_SET_NAME, "knockd-listen");
  // The keeper handles signals and ends the listener by closing the channel; but a terminal's ^C or
  // a service manager's SIGTERM reaches the whole group.
  for (const int ignored : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGPIPE}) signal(ignored, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  close_inherited(channel.fd());
  const auto fail = [&](CaptureTrouble kind, const std::string& why) {
    channel.send_waiting(encode(FromListener(trouble(kind, why))));
    return 1;
  };
  const auto hash_key = random_hash_key();
  if (!hash_key) return fail(CaptureTrouble::kOther, hash_key.error().text);
  auto capture = LiveCapture::create(settings.interface);
  if (!capture) return fail(capture.error().kind, capture.error().text);
  Listener listener(settings, channel, *std::move(capture), *hash_key);
  // No cleanup: libpcap would use calls that the sandbox forbids.
  _exit(listener.run());
}

}  // namespace knockd
