// SPDX-License-Identifier: MIT
// The whole process: frames on a cable in, messages out, sandbox included.
#include "knockd/listener/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/knock/event_text.h"
#include "knockd/listener/reporter.h"
#include "knockd/message/messages.h"
#include "tests/base/ends_soon.h"
#include "tests/listener/capture_network.h"
#include "tests/listener/frame_sender.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::StartsWith;

class ListenerTest : public CaptureNetwork {
 protected:
  void SetUp() override {
    CaptureNetwork::SetUp();
    if (IsSkipped()) return;
    sender_ = std::make_unique<FrameSender>("lan");
    settings_.interface = "wan";
    settings_.own_addresses = {IpAddress::parse("198.51.100.1").value()};
    DoorRule door;
    door.sequence = {{7000, Protocol::kTcp}, {8000, Protocol::kTcp}};
    settings_.doors = {door};
    settings_.generations = {0};
  }
  void TearDown() override {
    if (pid_ > 0) {
      keeper_ = Channel(UniqueFd());
      wait_for_end();
    }
    CaptureNetwork::TearDown();
  }

  // The kernel rounds this to room for a handful of messages.
  static constexpr int kSmallBuffer = 4096;
  static void set_send_buffer(const Channel& channel, int size) {
    setsockopt(channel.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  }
  // From a listener to a keeper that does not read.
  static int messages_that_fit() {
    const auto pair = *Channel::make_pair();
    set_send_buffer(pair.first, kSmallBuffer);
    int count = 0;
    while (pair.first.send(encode(FromListener(KnockEvent{}))) == Sent::kYes) ++count;
    return count;
  }
  // Knocks until this many messages wait for the keeper.
  void wait_until_sent(int count) {
    const int wanted = count * static_cast<int>(encode(FromListener(KnockEvent{})).size());
    const auto end = std::chrono::steady_clock::now() + 10s;
    for (int waiting = 0; waiting < wanted; usleep(1000)) {
      ASSERT_EQ(ioctl(keeper_.fd(), SIOCINQ, &waiting), 0);
      ASSERT_LT(std::chrono::steady_clock::now(), end)
          << waiting << " of " << wanted << " bytes of knocks within 10 s";
    }
  }
  // The memory that the kernel grants a socket for its options; per namespace since Linux 6.9.
  static void refuse_filters() {
    constexpr const char* kLimit = "/proc/sys/net/core/optmem_max";
    if (access(kLimit, W_OK) != 0) GTEST_SKIP() << "the kernel knows no bound for a namespace";
    ASSERT_EQ(std::system(format("echo 64 >%s", kLimit).c_str()), 0);
  }

  void start(int buffer = 0) {
    auto [ours, theirs] = *Channel::make_pair();
    if (buffer != 0) set_send_buffer(theirs, buffer);
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) _exit(run_listener(settings_, std::move(theirs)));
    keeper_ = std::move(ours);
  }
  // The listener's status; kills a listener that does not end by itself.
  int wait_for_end() {
    int status = -1;
    EXPECT_TRUE(ends_soon(std::exchange(pid_, 0), &status)) << "the listener has not ended";
    return status;
  }

  // The listener's next message as a line; "gone" after its end.
  std::string next() {
    std::string line = next_message();
    while (line == "counts") line = next_message();
    return line;
  }
  std::string next_message() {
    pollfd readable{keeper_.fd(), POLLIN, 0};
    if (poll(&readable, 1, kDeadline) == 0) return "nothing within 10 s";
    std::array<uint8_t, kLongestMessage> buffer;
    const Channel::Received received = keeper_.receive(buffer);
    if (received.kind != Channel::Received::Kind::kMessage) return "gone";
    const auto message =
        decode_from_listener({buffer.data(), received.length}, settings_.doors.size());
    if (!message) return "garbage";
    if (const auto* const event = std::get_if<KnockEvent>(&*message)) {
      wrong_codes_untold_ = event->wrong_codes_untold;
    }
    if (const auto* const counts = std::get_if<DoorCounts>(&*message)) {
      counts_.assign(counts->doors.begin(),
                     counts->doors.begin() + static_cast<ptrdiff_t>(counts->count));
    }
    return std::visit([](const auto& body) { return text_of(body); }, *message);
  }
  void send(const ToListener& message) { ASSERT_EQ(keeper_.send(encode(message)), Sent::kYes); }

  static std::string text_of(const Listening& message) {
    return message.filter_in_kernel != 0 ? "listening" : "listening without a filter";
  }
  static std::string text_of(const KnockEvent& event) {
    const std::string source = event.source.to_string();
    const std::string line = event.kind == EventKind::kOpen
                                 ? format("%s: door %u: OPEN SESAME", source.c_str(), event.door)
                                 : event_line(event, format("door %u", event.door), source);
    return line + format(", generation %u", event.generation);
  }
  static std::string text_of(const Explanation& explanation) {
    return explanation_line(explanation, "the door");
  }
  static std::string text_of(const LeftOut& left_out) {
    return format("%llu left out", static_cast<unsigned long long>(left_out.lines));
  }
  static std::string text_of(const Trouble& trouble) {
    return format("trouble %d", static_cast<int>(trouble.kind));
  }
  static std::string text_of(const DoorCounts&) { return "counts"; }
  static std::string text_of(const ListenerStatus& status) {
    return format("%u sources, %llu packets", status.sources,
                  static_cast<unsigned long long>(status.packets));
  }

  static constexpr int kDeadline = 10'000;  // ms
  ListenerSettings settings_;
  std::vector<DoorCount> counts_;  // as last reported
  uint8_t wrong_codes_untold_ = 0;
  std::unique_ptr<FrameSender> sender_;
  Channel keeper_{UniqueFd()};
  pid_t pid_ = 0;
};

TEST_F(ListenerTest, KnocksOnTheCableBecomeEvents) {
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
  sender_->syn("192.0.2.7", 8000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: OPEN SESAME, generation 0");
}

TEST_F(ListenerTest, ReportsThatTheKernelRefusedTheFilter_AndStillHearsKnocks) {
  refuse_filters();
  if (IsSkipped()) return;
  start();
  EXPECT_EQ(next(), "listening without a filter");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, TimeoutIsReportedWithoutAPacket) {
  settings_.doors[0].seq_timeout = 20ms;
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
  EXPECT_EQ(next(), "192.0.2.7: door 0: sequence timeout (stage 1), generation 0");
}

TEST_F(ListenerTest, ExitsWithZero_WhenTheKeeperClosesTheChannel) {
  start();
  ASSERT_EQ(next(), "listening");
  keeper_ = Channel(UniqueFd());
  EXPECT_EQ(wait_for_end(), 0);
}

TEST_F(ListenerTest, SignalsOfTheTerminalAndTheServiceManagerDoNotEndIt) {
  start();
  ASSERT_EQ(next(), "listening");
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) ASSERT_EQ(kill(pid_, signal), 0);
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, NewAddressesAreHeard_AndOldOnesNoMore) {
  settings_.own_addresses.clear();
  settings_.explain = true;
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);  // not an address of this host, so the filter drops it
  for (const AddressPart& part : address_parts({IpAddress::parse("198.51.100.1").value()})) {
    send(part);
  }
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_THAT(next(), ::testing::HasSubstr("the door: knock 1 accepted"));
}

TEST_F(ListenerTest, NextSequenceReplacesTheOldOne) {
  start();
  ASSERT_EQ(next(), "listening");
  NextSequence sequence;
  sequence.count = 1;
  sequence.generation = 4;
  sequence.knocks[0] = {9000, Protocol::kTcp};
  send(sequence);
  send(StatusRequest());  // answered in order: the sequence is in force
  ASSERT_THAT(next(), StartsWith("0 sources"));
  sender_->syn("192.0.2.7", 7000);
  sender_->syn("192.0.2.7", 9000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: OPEN SESAME, generation 4");
}

// From the fields of a status.
int packets_in(const std::string& status) {
  const size_t at = status.find(", ");
  return at == status.npos ? -1 : std::atoi(status.c_str() + at + 2);
}

// Without the scan guard the filter passes only the ports of the doors.
TEST_F(ListenerTest, NextSequencePassesTheFilter_AndTheOldOneNoMore) {
  settings_.bounds.scan_limit = 0;
  start();
  ASSERT_EQ(next(), "listening");
  NextSequence sequence;
  sequence.count = 1;
  sequence.generation = 4;
  sequence.knocks[0] = {9000, Protocol::kTcp};
  send(sequence);
  send(StatusRequest());                  // answered in order: the sequence is in force
  const int before = packets_in(next());  // packets from before the filter was set
  ASSERT_GE(before, 0);
  sender_->syn("192.0.2.7", 7000);
  sender_->syn("192.0.2.7", 9000);
  ASSERT_EQ(next(), "192.0.2.7: door 0: OPEN SESAME, generation 4") << "port 9000 is not heard";
  send(StatusRequest());
  EXPECT_EQ(packets_in(next()), before + 1) << "port 7000 is still let through";
}

// Ports of two doors, of which one has more codes than a message holds.
TEST_F(ListenerTest, NewCodesReplaceTheOldOnes_WhenThoseOfAllDoorsHaveArrived) {
  settings_.doors[0].sequence = {{7000}, {kFirstComputedPort}};
  settings_.doors[0].places = {.places = 0b10};
  settings_.doors.push_back(settings_.doors[0]);
  settings_.doors[1].sequence[0].port = 8000;
  for (DoorRule& door : settings_.doors) door.codes = {{{20001}, {}}};
  settings_.generations = {5, 5};
  settings_.bounds.log_rate = 0;
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  sender_->syn("192.0.2.7", 20001);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 5");
  EXPECT_EQ(next(), "192.0.2.7: door 0: OPEN SESAME, generation 5");

  std::vector<DoorCodes> fresh = {{0, 6, {}}, {1, 6, {}}};
  for (size_t i = 0; i <= CodesPart::kMost; ++i) {
    fresh[0].codes.push_back({{static_cast<uint16_t>(30000 + i)}, {}});
  }
  fresh[1].codes = {{{40001}, {}}};
  const std::vector<CodesPart> parts = codes_parts(fresh);
  ASSERT_EQ(parts.size(), 3u);
  for (size_t i = 0; i < parts.size(); ++i) {
    send(StatusRequest());  // answers come in order, so the earlier messages have been handled
    ASSERT_THAT(next(), StartsWith(format("%zu sources", i + 1)));
    const std::string source = format("192.0.2.%zu", i + 10);
    sender_->syn(source, 8000);
    sender_->syn(source, 20001);
    EXPECT_EQ(next(), source + ": door 1: Stage 1, generation 5");
    EXPECT_EQ(next(), source + ": door 1: OPEN SESAME, generation 5") << "before part " << i;
    send(parts[i]);
  }
  send(StatusRequest());
  ASSERT_THAT(next(), StartsWith("4 sources"));
  for (const size_t port : {size_t{30000}, 30000 + CodesPart::kMost}) {
    sender_->syn("192.0.2.8", 7000);
    sender_->syn("192.0.2.8", static_cast<uint16_t>(port));
    EXPECT_EQ(next(), "192.0.2.8: door 0: Stage 1, generation 6");
    EXPECT_EQ(next(), "192.0.2.8: door 0: OPEN SESAME, generation 6") << port;
  }
  sender_->syn("192.0.2.9", 8000);
  sender_->syn("192.0.2.9", 40001);
  EXPECT_EQ(next(), "192.0.2.9: door 1: Stage 1, generation 6");
  EXPECT_EQ(next(), "192.0.2.9: door 1: OPEN SESAME, generation 6");
}

// An attempt continues if the new list contains its code, regardless of earlier lists.
TEST_F(ListenerTest, EarlierCodesAreForgotten_AndWrongOnesCountFromZero) {
  settings_.doors[0].sequence = {{7000}, {40000}, {40100}, {40200}};
  settings_.doors[0].places = {.places = 0b1110, .typed = true};
  settings_.bounds.log_rate = 0;
  const auto tell = [&](uint16_t pair) {
    const Code code{{static_cast<uint16_t>(40000 + pair), static_cast<uint16_t>(40100 + pair),
                     static_cast<uint16_t>(40200 + pair)},
                    {}};
    for (const CodesPart& part : codes_parts({{0, 0, {code}}})) send(part);
    send(StatusRequest());
    ASSERT_THAT(next(), ::testing::HasSubstr("sources"));
  };
  const auto knock = [&](const std::string& source, std::initializer_list<uint16_t> ports) {
    for (const uint16_t port : ports) sender_->syn(source, port);
  };
  start();
  ASSERT_EQ(next(), "listening");
  tell(1);
  for (int i = 0; i <= Reporter::kWrongCodesReported; ++i) {
    knock("192.0.2.1", {7000, 40099});
    ASSERT_THAT(next(), ::testing::HasSubstr("Stage 1"));
    next();
  }
  tell(2);
  knock("192.0.2.2", {7000, 40002, 40102});
  for (int i = 0; i < 3; ++i) ASSERT_THAT(next(), ::testing::HasSubstr(": Stage "));
  tell(2);
  knock("192.0.2.2", {40202});
  EXPECT_THAT(next(), StartsWith("192.0.2.2: door 0: OPEN SESAME"));
  EXPECT_EQ(wrong_codes_untold_, 0);
}

TEST_F(ListenerTest, FilterPassesOnlyIPv4_WhenConfigured) {
  settings_.own_addresses.push_back(IpAddress::parse("2001:db8::1").value());
  settings_.only_v4 = true;
  start();
  ASSERT_EQ(next(), "listening");
  send(StatusRequest());
  const int before = packets_in(next());  // packets from before the filter was set
  ASSERT_GE(before, 0);
  sender_->syn("2001:db8::7", 7000, "2001:db8::1");
  sender_->syn("192.0.2.7", 7000);
  ASSERT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
  send(StatusRequest());
  EXPECT_EQ(packets_in(next()), before + 1) << "IPv6 is let through by the filter";
}

TEST_F(ListenerTest, OnlyIPv4Counts_EvenWithoutTheFilter) {
  settings_.own_addresses.push_back(IpAddress::parse("2001:db8::1").value());
  settings_.only_v4 = true;
  refuse_filters();
  if (IsSkipped()) return;
  start();
  ASSERT_EQ(next(), "listening without a filter");
  sender_->syn("2001:db8::7", 7000, "2001:db8::1");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, IPv6IsHeard) {
  settings_.own_addresses.push_back(IpAddress::parse("2001:db8::1").value());
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("2001:db8::7", 7000, "2001:db8::1");
  EXPECT_EQ(next(), "2001:db8::7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, EachListOfAddressesReplacesTheOldOne) {
  start();
  ASSERT_EQ(next(), "listening");
  for (const char* const address : {"203.0.113.1", "203.0.113.2"}) {
    for (const AddressPart& part : address_parts({IpAddress::parse(address).value()})) send(part);
    ASSERT_EQ(next(), "listening");
  }
  sender_->syn("192.0.2.1", 7000);
  sender_->syn("192.0.2.2", 7000, "203.0.113.1");
  sender_->syn("192.0.2.3", 7000, "203.0.113.2");
  EXPECT_EQ(next(), "192.0.2.3: door 0: Stage 1, generation 0") << "an address of before is heard";
}

// A keeper that reads nothing for a while receives the waiting messages as soon as it reads,
// without another packet.
TEST_F(ListenerTest, KnocksThatFoundNoRoomAreSentOnceThereIsRoom) {
  DoorRule flooded;
  flooded.sequence = {{9000, Protocol::kTcp}};
  settings_.doors = {flooded};
  start(kSmallBuffer);
  ASSERT_EQ(next(), "listening");
  const int room = messages_that_fit();
  for (int i = 0; i < room + 60; ++i) sender_->syn(format("192.0.2.%d", i % 200 + 1), 9000);
  wait_until_sent(room);
  for (int i = 0; i < room + 60; ++i) {
    ASSERT_THAT(next(), ::testing::HasSubstr("door 0: OPEN SESAME")) << "after " << i << " knocks";
  }
}

TEST_F(ListenerTest, BeginsWithTheGenerationItWasGiven) {
  settings_.generations = {7};
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 7");
}

TEST_F(ListenerTest, ReportsItsStatus) {
  start();
  ASSERT_EQ(next(), "listening");
  send(StatusRequest());
  const std::string before = next();
  EXPECT_THAT(before, StartsWith("0 sources"));
  sender_->syn("192.0.2.7", 7000);
  ASSERT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
  send(StatusRequest());
  EXPECT_EQ(next(), format("1 sources, %d packets", packets_in(before) + 1));
  EXPECT_THAT(counts_, ::testing::ElementsAre(DoorCount{.door = 0, .begun = 1}));
}

TEST_F(ListenerTest, StagesAreRateLimited_OpeningsAreNot) {
  settings_.bounds.log_rate = 1;
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.1", 7000);
  EXPECT_EQ(next(), "192.0.2.1: door 0: Stage 1, generation 0");
  sender_->syn("192.0.2.2", 7000);
  sender_->syn("192.0.2.3", 7000);
  sender_->syn("192.0.2.3", 8000);
  EXPECT_EQ(next(), "192.0.2.3: door 0: OPEN SESAME, generation 0");
  EXPECT_EQ(next(), "2 left out");
}

TEST_F(ListenerTest, GarbageFromTheKeeperIsIgnored) {
  start();
  ASSERT_EQ(next(), "listening");
  const std::vector<uint8_t> garbage(100, 0xff);
  ASSERT_EQ(keeper_.send(garbage), Sent::kYes);
  NextSequence of_no_door;
  of_no_door.door = 99;
  send(of_no_door);
  for (const CodesPart& part : codes_parts({{1, 0, {Code()}}})) send(part);
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, ReportsWhyItEnds_WhenTheDeviceDoesNotExist) {
  settings_.interface = "ppp0";
  start();
  EXPECT_EQ(next(), format("trouble %d", static_cast<int>(CaptureTrouble::kNoDevice)));
  EXPECT_EQ(next(), "gone");
}

TEST_F(ListenerTest, ReportsWhyItEnds_WhenTheDeviceIsRemoved_AndThenItsCounts) {
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  ASSERT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
  // A device that is deleted is first set down. A listener that looks in between learns no more
  // from its socket; the keeper, which hears of the rest, ends it.
  kill(pid_, SIGSTOP);
  ip("link del wan");
  kill(pid_, SIGCONT);
  EXPECT_EQ(next(), format("trouble %d", static_cast<int>(CaptureTrouble::kNoDevice)));
  // The device's addresses go before it, and the keeper may not know the rest yet.
  for (const AddressPart& part : address_parts({})) send(part);
  send(StatusRequest());
  EXPECT_EQ(next_message(), "counts");
  EXPECT_THAT(next_message(), StartsWith("1 sources"));
  keeper_ = Channel(UniqueFd());
  EXPECT_EQ(wait_for_end(), 0);
}

TEST_F(ListenerTest, HearsAgain_WhenTheDeviceWasDown) {
  start();
  ASSERT_EQ(next(), "listening");
  ip("link set wan down");
  send(StatusRequest());
  ASSERT_THAT(next(), StartsWith("0 sources"));
  ip("link set wan up");
  for (const std::string name : {"wan", "lan"}) wait_until_up(name);
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, ReportsAMissingCapability) {
  auto [ours, theirs] = *Channel::make_pair();
  pid_ = fork();
  ASSERT_GE(pid_, 0);
  if (pid_ == 0) {
    if (setgid(1234) != 0 || setuid(1234) != 0) _exit(1);
    _exit(run_listener(settings_, std::move(theirs)));
  }
  theirs = Channel(UniqueFd());
  keeper_ = std::move(ours);
  EXPECT_EQ(next(), format("trouble %d", static_cast<int>(CaptureTrouble::kNoPermission)));
  EXPECT_EQ(next(), "gone");
}

}  // namespace
}  // namespace knockd
