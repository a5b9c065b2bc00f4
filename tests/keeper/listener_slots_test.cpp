// SPDX-License-Identifier: MIT
// Slots on virtual time. Listeners are processes that capture nothing and act as the test says;
// interfaces are real, in the test's own network namespace.
#include "knockd/keeper/listener_slots.h"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/privileges.h"
#include "knockd/base/text.h"
#include "tests/base/own_network.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// --- What listeners do

void say(const Channel& channel, const FromListener& message) {
  channel.send_waiting(encode(message));
}

// Waits for the keeper's next message; nothing once it has closed the channel.
std::optional<ToListener> hear(const Channel& channel) {
  std::array<uint8_t, kLongestMessage> buffer;
  pollfd readable{channel.fd(), POLLIN, 0};
  poll(&readable, 1, -1);
  const Channel::Received received = channel.receive(buffer);
  if (received.kind != Channel::Received::Kind::kMessage) return std::nullopt;
  return decode_to_listener({buffer.data(), received.length});
}

void listen(const ListenerSettings&, const Channel& channel) {
  say(channel, Listening{1});
  while (hear(channel)) {
  }
}

void lose_knocks(const ListenerSettings&, const Channel& channel) {
  say(channel, Listening{1});
  say(channel, LeftOut{0, 3});
  while (hear(channel)) say(channel, LeftOut{1, 1});
}

// Reports how many addresses it was given, at first and then.
void count_addresses(const ListenerSettings& settings, const Channel& channel) {
  say(channel, Listening{1});
  say(channel, LeftOut{100 + settings.own_addresses.size(), 0});
  while (const auto message = hear(channel)) {
    say(channel, Listening{1});
    if (const auto* const part = std::get_if<AddressPart>(&*message)) {
      say(channel, LeftOut{uint64_t{200} + part->count, 0});
    }
  }
}

void end(const ListenerSettings&, const Channel&) {}

void listen_and_end(const ListenerSettings&, const Channel& channel) { say(channel, Listening{1}); }

void lack_rights(const ListenerSettings&, const Channel& channel) {
  say(channel, Trouble{CaptureTrouble::kNoPermission, {'n', 'o'}});
  hear(channel);
}

KnockEvent knock_on(uint32_t index) {
  KnockEvent event;
  event.kind = EventKind::kOpen;
  event.stage = 1;
  event.door = 0;
  event.interface_index = index;
  event.source = event.destination = IpAddress::parse("192.0.2.7").value();
  return event;
}

// The same knock, heard again by a router that forwards it.
void hear_twice(const ListenerSettings&, const Channel& channel) {
  say(channel, Listening{1});
  say(channel, knock_on(2));
  say(channel, knock_on(3));
  say(channel, LeftOut{1, 0});
  hear(channel);
}

class ListenerSlotsTest : public OwnNetwork, public ListenerSlots::Owner {
 protected:
  void SetUp() override {
    OwnNetwork::SetUp();
    if (IsSkipped()) return;
    now_ = Instant(1h);
    settings_.doors.resize(1);
    settings_.doors[0].sequence = {{7000}};
    settings_.generations = {0};
    loop_ = std::make_unique<EventLoop>(+[] { return now_; });
    slots_ = std::make_unique<ListenerSlots>(*loop_, log_, entry, *this);
    ASSERT_TRUE(slots_->begin());
  }
  void TearDown() override {
    slots_.reset();
    while (waitpid(-1, nullptr, 0) > 0) {
    }
    OwnNetwork::TearDown();
  }
  static int entry(const ListenerSettings& settings, Channel channel) {
    close_inherited(channel.fd());
    act_(settings, channel);
    return 0;
  }
  void start(void (*act)(const ListenerSettings&, const Channel&),
             const std::vector<std::string>& interfaces = {"any"}, bool only_v4 = false) {
    act_ = act;
    slots_->choose(interfaces, only_v4);
    slots_->start();
  }

  ListenerSettings listener_settings() const override {
    ++starts_;
    return settings_;
  }
  bool is_forwarded(DoorNumber) const override { return false; }
  void on_event(const KnockEvent& event, const std::string&) override {
    said_.push_back(format("knock on %u", event.interface_index));
  }
  void on_explanation(const Explanation&) override {}
  void on_lines_left_out(uint64_t lines) override { said_.push_back(counted(lines, "line")); }
  std::vector<std::string> door_names() const override { return door_names_; }
  void on_count(const std::string& door, const DoorCount& count) override {
    said_.push_back(format("%s: %d begun, %d timed out, %d wrong, %d discarded", door.c_str(),
                           static_cast<int>(count.begun), static_cast<int>(count.timed_out),
                           static_cast<int>(count.wrong), static_cast<int>(count.discarded)));
  }
  void on_counted() override { said_.push_back("all have answered"); }
  void on_interface(const std::string& interface, const std::string& why) override {
    said_.push_back(interface + ": " + (why.empty() ? "is listened to" : why));
  }
  void on_network() override { ++network_changes_; }
  void on_settled() override { said_.push_back("settled"); }
  void in_child() override {}
  void on_no_rights(const std::string& why) override { said_.push_back(why); }

  // Turns like the keeper until the condition holds. The time does not change.
  void turn_until(const std::string& what, const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!is_so()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "not within 10 s: " << what;
      loop_->poll();
      int status = 0;
      if (const pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0) {
        slots_->reaped(pid, status);
        ++reaped_;
      }
      usleep(1000);
    }
  }
  void turn_until_said(const std::string& what) {
    turn_until(what, [&] { return std::ranges::count(said_, what) != 0; });
  }
  void turn_until_logged(const std::string& line) {
    turn_until(line, [&] { return log_.has(line); });
  }
  bool logged(const std::string& beginning) const {
    return std::ranges::any_of(log_.lines(),
                               [&](const auto& line) { return line.starts_with(beginning); });
  }
  void pass(Duration time) {
    now_ += time;
    loop_->poll();
  }

  static inline Instant now_;
  static inline void (*act_)(const ListenerSettings&, const Channel&);
  mutable int starts_ = 0;
  int reaped_ = 0;
  int network_changes_ = 0;
  std::vector<std::string> door_names_ = {"door"};
  ListenerSettings settings_;
  RecordingLog log_;
  std::vector<std::string> said_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<ListenerSlots> slots_;
};

TEST_F(ListenerSlotsTest, LostKnocksAreReportedAtOnce_AndThenOnceAMinute_NoneIsForgotten) {
  start(lose_knocks);
  turn_until_logged("any: 3 complete knocks lost, too many at once");
  log_.take();
  slots_->send(NextSequence{0, 1, 1, {{{7000}}}});  // it loses one more at each message
  slots_->send(NextSequence{0, 1, 1, {{{7000}}}});
  turn_until("both are heard", [&] { return std::ranges::count(said_, "1 line") == 2; });
  pass(59s);
  EXPECT_THAT(log_.take(), IsEmpty());
  pass(1s);
  EXPECT_THAT(log_.take(), ElementsAre("any: 2 complete knocks lost, too many at once"));
}

TEST_F(ListenerSlotsTest, EntrancesAreTheInterfaces_AndTheBridgesTheyArePortsOf) {
  slots_->choose({"wan", "ppp0"}, false);
  EXPECT_THAT(slots_->entrances(), ElementsAre("wan", "ppp0"));
  slots_->start();
  const int before = network_changes_;
  ip("link add br0 type bridge");
  ip("link set wan master br0");
  turn_until("the change is reported", [&] { return network_changes_ > before; });
  turn_until("the bridge is seen", [&] { return slots_->entrances().size() == 3; });
  EXPECT_THAT(slots_->entrances(), ElementsAre("wan", "ppp0", "br0"));
  slots_->choose({"wan", "any"}, false);
  EXPECT_THAT(slots_->entrances(), IsEmpty()) << "any: all of them";
}

TEST_F(ListenerSlotsTest, EndedListenerIsReplaced_AfterGrowingPauses) {
  start(end);
  turn_until_logged("any: the listener ended before it listened (exit status 0); trying again");
  int starts = 1;
  for (const auto pause : {100ms, 200ms, 400ms, 800ms}) {
    turn_until("it has ended", [&] { return reaped_ == starts; });
    loop_->poll();  // its channel has ended, too
    pass(pause - 1ms);
    EXPECT_EQ(starts_, starts) << "before " << pause.count() << " ms";
    pass(1ms);
    EXPECT_EQ(starts_, ++starts) << "not after " << pause.count() << " ms";
  }
}

TEST_F(ListenerSlotsTest, ListenerThatEndsIsReported_WithThePauseBeforeTheNext) {
  start(listen_and_end);
  turn_until_logged("any: the listener ended (exit status 0); starting another in 0.1 s");
}

TEST_F(ListenerSlotsTest, FailedStartIsLoggedOnce_AndSoIsTheSuccessAfterIt) {
  slots_->announce();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  start(listen);
  for (int i = 0; i < 4; ++i) pass(1s);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(said_, Contains("settled")) << "who waits for a start would wait for ever";
  EXPECT_THAT(log_.take(), ElementsAre("any: no listener could be started: socketpair: Too many "
                                       "open files; trying again"));
  pass(1min);
  turn_until("it listens", [&] { return logged("any: now listening on "); });
}

TEST_F(ListenerSlotsTest, MissingCapabilitiesAreReported_AndRetriedLater) {
  start(lack_rights);
  turn_until_said("any: no right to capture packets: run as root or with CAP_NET_RAW (no)");
  pass(100ms);
  EXPECT_EQ(starts_, 2);
}

TEST_F(ListenerSlotsTest, ListenersWithUnchangedRulesContinueAfterAReload) {
  start(listen);
  turn_until_said("settled");
  slots_->renew(false);
  slots_->update();
  EXPECT_EQ(starts_, 1);
  slots_->renew(true);
  slots_->update();
  EXPECT_EQ(starts_, 2);
}

TEST_F(ListenerSlotsTest, StoppedListenersAreNotRestarted) {
  start(listen);
  turn_until_said("settled");
  slots_->stop();
  slots_->update();
  pass(1h);
  EXPECT_EQ(starts_, 1);
}

TEST_F(ListenerSlotsTest, KnockHeardOnTwoInterfacesCountsOnce) {
  start(hear_twice);
  turn_until_said("1 line");
  EXPECT_THAT(said_, Contains("knock on 2"));
  EXPECT_THAT(said_, ::testing::Not(Contains("knock on 3")));
}

TEST_F(ListenerSlotsTest, AddressesAreThoseOfTheInterface_AndFollowIt) {
  start(count_addresses, {"wan"});
  turn_until_said("102 lines");
  ip("address add 198.51.100.2/24 dev wan");
  turn_until_said("203 lines");
}

TEST_F(ListenerSlotsTest, WithoutIPv6ItsAddressesAreLeftOut) {
  start(count_addresses, {"wan"}, true);
  turn_until_said("101 lines");
}

TEST_F(ListenerSlotsTest, MissingInterfaceIsWaitedFor_AndUsedOnceItExists) {
  start(listen, {"ppp0"});
  EXPECT_THAT(log_.take(), ElementsAre(::testing::StartsWith(
                               "interface ppp0 does not exist, waiting for it (there are: ")));
  EXPECT_THAT(said_, ElementsAre("ppp0: interface ppp0 does not exist, waiting for it", "settled"));
  slots_->announce();
  ip("link add ppp0 type veth peer name isp");
  turn_until_logged("interface ppp0 is down, waiting for it");
  EXPECT_EQ(starts_, 0);
  ip("link set ppp0 addrgenmode none up");
  turn_until_logged("ppp0: now listening on no address");
  EXPECT_THAT(said_, Contains("ppp0: is listened to"));
}

TEST_F(ListenerSlotsTest, SettledOnceEachListenerIs) {
  start(listen, {"wan", "lan"});
  EXPECT_THAT(said_, IsEmpty());
  turn_until_said("settled");
}

TEST_F(ListenerSlotsTest, RecreatedDeviceGetsANewListener) {
  start(listen, {"wan"});
  turn_until_said("settled");
  ip("link del wan");
  turn_until("it is waited for",
             [&] { return logged("interface wan does not exist, waiting for it"); });
  ip("link add wan type veth peer name lan");
  ip("link set wan addrgenmode none up");
  turn_until("another listener", [&] { return starts_ == 2; });
}

TEST_F(ListenerSlotsTest, DeviceThatComesBackIsListenedToAtOnce_AlsoInAPause) {
  start(end, {"wan"});
  turn_until("it has ended", [&] { return reaped_ == 1; });
  turn_until_logged("wan: the listener ended before it listened (exit status 0); trying again");
  ip("link set wan down");
  turn_until_logged("interface wan is down, waiting for it");
  act_ = listen;
  ip("link set wan up");
  turn_until_said("wan: is listened to");
}

TEST_F(ListenerSlotsTest, ListenerReportsItsCountsOnRequest) {
  start([](const ListenerSettings&, const Channel& channel) {
    say(channel, Listening{0, LinkType::kRaw});
    DoorCounts counts;
    counts.count = 1;
    counts.doors[0] = {0, 4, 3, 2, 1};
    while (hear(channel)) {
      say(channel, counts);
      say(channel, ListenerStatus{1, 2, 3, 0});
    }
  });
  EXPECT_FALSE(slots_->ask()) << "nobody listens yet";
  turn_until_said("settled");
  EXPECT_TRUE(slots_->ask());
  turn_until_said("all have answered");
  EXPECT_THAT(said_, Contains("door: 4 begun, 3 timed out, 2 wrong, 1 discarded"));
  const std::vector<InterfaceReport> reports = slots_->report();
  ASSERT_THAT(reports, ::testing::SizeIs(1));
  EXPECT_EQ(reports[0].name, "any");
  EXPECT_EQ(reports[0].waits_because, "");
  EXPECT_EQ(reports[0].link_type, "raw IP");
  EXPECT_FALSE(reports[0].filter_in_kernel);
  EXPECT_EQ(reports[0].packets, 1u);
  EXPECT_EQ(reports[0].lost, 2u);
  EXPECT_EQ(reports[0].sources, 3u);
}

TEST_F(ListenerSlotsTest, ListenerThatDoesNotAnswerIsNotAskedAgain) {
  start([](const ListenerSettings&, const Channel& channel) {
    say(channel, Listening{1, LinkType::kRaw});
    ListenerStatus status;
    while (const auto message = hear(channel)) {
      if (std::holds_alternative<StatusRequest>(*message)) ++status.packets;
      if (std::holds_alternative<NextSequence>(*message)) say(channel, status);
    }
  });
  turn_until_said("settled");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(slots_->ask());
  slots_->send(NextSequence{0, 1, 1, {{{7000}}}});
  turn_until_said("all have answered");
  EXPECT_EQ(slots_->report()[0].packets, 1u);
}

// Its counts, once it is asked.
void tell_counts(const Channel& channel) {
  DoorCounts counts;
  counts.count = 1;
  counts.doors[0] = {0, 4, 3, 2, 1};
  while (hear(channel)) {
    say(channel, counts);
    say(channel, ListenerStatus{5, 2, 3, 0});
  }
}

TEST_F(ListenerSlotsTest, WhatWasCountedOutlivesAListener_WithTheNamesOfItsTime) {
  start([](const ListenerSettings&, const Channel& channel) {
    say(channel, Listening{1});
    tell_counts(channel);
  });
  turn_until_said("settled");
  for (const uint64_t listeners : {1u, 2u}) {
    said_.clear();
    door_names_ = {listeners == 1 ? "other" : "third"};
    slots_->renew(true);
    slots_->update();
    turn_until_said((listeners == 1 ? "door" : "other") +
                    std::string(": 4 begun, 3 timed out, 2 wrong, 1 discarded"));
    turn_until("its packets", [&] { return slots_->report()[0].packets == 5 * listeners; });
    EXPECT_EQ(slots_->report()[0].lost, 2 * listeners);
    turn_until("it has ended", [&] { return reaped_ == static_cast<int>(listeners); });
    turn_until_said("settled");
  }
}

TEST_F(ListenerSlotsTest, WhatWasToldBeforeCountsOnce_WhenAListenerLeaves) {
  start([](const ListenerSettings&, const Channel& channel) {
    say(channel, Listening{1});
    ListenerStatus status{5, 2, 3, 0};
    while (hear(channel)) {
      say(channel, status);
      ++status.packets;
      ++status.dropped;
    }
  });
  turn_until_said("settled");
  slots_->ask();
  turn_until_said("all have answered");
  slots_->renew(true);
  EXPECT_EQ(slots_->report()[0].packets, 5u);
  turn_until("its last words", [&] { return slots_->report()[0].packets != 5; });
  EXPECT_EQ(slots_->report()[0].packets, 6u);
  EXPECT_EQ(slots_->report()[0].lost, 3u);
}

TEST_F(ListenerSlotsTest, WhatWasCountedOutlivesItsInterface) {
  start(
      [](const ListenerSettings&, const Channel& channel) {
        say(channel, Listening{1});
        say(channel, Trouble{CaptureTrouble::kDown, {}});
        tell_counts(channel);
      },
      {"wan"});
  turn_until_said("settled");
  turn_until("its device is down", [&] { return slots_->report()[0].waits_because != ""; });
  said_.clear();
  pass(1s);
  turn_until_said("door: 4 begun, 3 timed out, 2 wrong, 1 discarded");
  turn_until("its packets", [&] { return slots_->report()[0].packets == 5; });
}

TEST_F(ListenerSlotsTest, AnAnswerThatFollowsTroubleIsCounted) {
  start(
      [](const ListenerSettings&, const Channel& channel) {
        say(channel, Listening{1});
        hear(channel);
        say(channel, Trouble{CaptureTrouble::kDown, {}});
        DoorCounts counts;
        counts.count = 1;
        counts.doors[0] = {0, 4, 3, 2, 1};
        say(channel, counts);
        say(channel, ListenerStatus{5, 2, 3, 0});
        hear(channel);
      },
      {"wan"});
  turn_until_said("settled");
  EXPECT_TRUE(slots_->ask());
  turn_until_said("door: 4 begun, 3 timed out, 2 wrong, 1 discarded");
  turn_until("its packets", [&] { return slots_->report()[0].packets == 5; });
}

TEST_F(ListenerSlotsTest, OneThatTellsNothingWhenItIsToGoIsEnded) {
  start([](const ListenerSettings&, const Channel& channel) {
    say(channel, Listening{1});
    while (hear(channel)) {
    }
  });
  turn_until_said("settled");
  slots_->renew(true);
  pass(1s);
  turn_until("it has ended", [&] { return reaped_ == 1; });
}

TEST_F(ListenerSlotsTest, AwaitedInterfaceIsReportedWithTheReason) {
  start(listen, {"wan9"});
  turn_until_said("settled");
  EXPECT_FALSE(slots_->ask());
  ASSERT_THAT(slots_->report(), ::testing::SizeIs(1));
  EXPECT_EQ(slots_->report()[0].waits_because, "interface wan9 does not exist, waiting for it");
  EXPECT_THAT(said_, Contains("wan9: interface wan9 does not exist, waiting for it"));
}

}  // namespace
}  // namespace knockd
