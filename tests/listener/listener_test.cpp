// SPDX-License-Identifier: MIT
// The whole process: frames on a cable in, messages out, sandbox included.
#include "knockd/listener/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/knock/event_text.h"
#include "knockd/message/messages.h"
#include "tests/listener/capture_network.h"
#include "tests/listener/frame_sender.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;

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

  void start() {
    auto [ours, theirs] = *Channel::make_pair();
    pid_ = fork();
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) _exit(run_listener(settings_, std::move(theirs)));
    keeper_ = std::move(ours);
  }
  int wait_for_end() {
    int status = -1;
    waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }

  // What the listener says next, as a line; "gone" if it has gone.
  std::string next() {
    pollfd readable{keeper_.fd(), POLLIN, 0};
    poll(&readable, 1, -1);
    std::array<uint8_t, kLongestMessage> buffer;
    const Channel::Received received = keeper_.receive(buffer);
    if (received.kind != Channel::Received::Kind::kMessage) return "gone";
    const auto message =
        decode_from_listener({buffer.data(), received.length}, settings_.doors.size());
    return message ? std::visit([](const auto& body) { return text_of(body); }, *message)
                   : "garbage";
  }
  void send(const ToListener& message) { ASSERT_EQ(keeper_.send(encode(message)), Sent::kYes); }

  static std::string text_of(const Listening& message) {
    return message.filter_in_kernel != 0 ? "listening" : "listening without a filter";
  }
  static std::string text_of(const KnockEvent& event) {
    return event_lines(event, format("door %u", event.door), event.source.to_string()).back() +
           format(", generation %u", event.generation);
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
  static std::string text_of(const ListenerStatus& status) {
    return format("%u sources", status.sources);
  }

  ListenerSettings settings_;
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

TEST_F(ListenerTest, TellsThatTheKernelRefusedTheFilter_AndHearsAllTheSame) {
  // What the kernel grants a socket for its options; of this namespace, since Linux 6.9.
  constexpr const char* kLimit = "/proc/sys/net/core/optmem_max";
  if (access(kLimit, W_OK) != 0) GTEST_SKIP() << "the kernel knows no bound for a namespace";
  ASSERT_EQ(std::system(format("echo 64 >%s", kLimit).c_str()), 0);
  start();
  EXPECT_EQ(next(), "listening without a filter");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, TimeoutComesByItself) {
  settings_.doors[0].seq_timeout = 20ms;
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
  EXPECT_EQ(next(), "192.0.2.7: door 0: sequence timeout (stage 1), generation 0");
}

TEST_F(ListenerTest, EndsWell_WhenTheKeeperClosesTheChannel) {
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
  sender_->syn("192.0.2.7", 7000);  // no address of ours: not even passed by the filter
  for (const AddressPart& part : address_parts({IpAddress::parse("198.51.100.1").value()})) {
    send(part);
  }
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_THAT(next(), ::testing::HasSubstr("the door: knock 1 accepted"));
}

TEST_F(ListenerTest, NextSequenceTakesTheOldOnesPlace) {
  start();
  ASSERT_EQ(next(), "listening");
  NextSequence sequence;
  sequence.count = 1;
  sequence.generation = 4;
  sequence.knocks[0] = {9000, Protocol::kTcp};
  send(sequence);
  send(StatusRequest());  // answered in order: the sequence is in force
  ASSERT_EQ(next(), "0 sources");
  sender_->syn("192.0.2.7", 7000);
  sender_->syn("192.0.2.7", 9000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: OPEN SESAME, generation 4");
}

TEST_F(ListenerTest, BeginsWithTheGenerationItWasGiven) {
  settings_.generations = {7};
  start();
  ASSERT_EQ(next(), "listening");
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 7");
}

TEST_F(ListenerTest, TellsItsStatus) {
  start();
  ASSERT_EQ(next(), "listening");
  send(StatusRequest());
  EXPECT_EQ(next(), "0 sources");
  sender_->syn("192.0.2.7", 7000);
  ASSERT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
  send(StatusRequest());
  EXPECT_EQ(next(), "1 sources");
}

TEST_F(ListenerTest, StagesAreHeldToTheRate_ButNeverAnOpenDoor) {
  settings_.log_rate = 1;
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

TEST_F(ListenerTest, GarbageFromTheKeeperIsPassedOver) {
  start();
  ASSERT_EQ(next(), "listening");
  const std::vector<uint8_t> garbage(100, 0xff);
  ASSERT_EQ(keeper_.send(garbage), Sent::kYes);
  NextSequence of_no_door;
  of_no_door.door = 99;
  send(of_no_door);
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, TellsWhyItEnds_WhenTheDeviceIsNotThere) {
  settings_.interface = "ppp0";
  start();
  EXPECT_EQ(next(), format("trouble %d", static_cast<int>(CaptureTrouble::kNoDevice)));
  EXPECT_EQ(next(), "gone");
}

TEST_F(ListenerTest, TellsWhyItEnds_WhenTheDeviceGoes) {
  start();
  ASSERT_EQ(next(), "listening");
  // A device that is deleted is first set down. A listener that looks in between learns no more
  // from its socket; the keeper, which hears of the rest, ends it.
  kill(pid_, SIGSTOP);
  ip("link del wan");
  kill(pid_, SIGCONT);
  EXPECT_EQ(next(), format("trouble %d", static_cast<int>(CaptureTrouble::kNoDevice)));
  EXPECT_EQ(next(), "gone");
  EXPECT_EQ(wait_for_end(), 0);
}

TEST_F(ListenerTest, HearsAgain_WhenTheDeviceWasDown) {
  start();
  ASSERT_EQ(next(), "listening");
  ip("link set wan down");
  send(StatusRequest());
  ASSERT_EQ(next(), "0 sources");
  ip("link set wan up");
  for (const std::string name : {"wan", "lan"}) wait_until_up(name);
  sender_->syn("192.0.2.7", 7000);
  EXPECT_EQ(next(), "192.0.2.7: door 0: Stage 1, generation 0");
}

TEST_F(ListenerTest, TellsThatARightIsMissing) {
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
