// SPDX-License-Identifier: MIT
// The keeper's view of a listener, with good, dead and hostile listeners.
#include "knockd/keeper/listener_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "knockd/base/spawn.h"
#include "knockd/base/text.h"
#include "tests/base/ends_soon.h"

namespace knockd {
namespace {

using ::testing::ElementsAre;

// Reads until the keeper closes the channel; returns the number of bytes.
size_t read_to_the_end(const Channel& channel) {
  std::array<uint8_t, kLongestMessage> buffer;
  size_t total = 0;
  for (;;) {
    pollfd readable{channel.fd(), POLLIN, 0};
    poll(&readable, 1, -1);
    const Channel::Received received = channel.receive(buffer);
    if (received.kind == Channel::Received::Kind::kClosed) return total;
    total += received.length;
  }
}

int good_listener(const ListenerSettings&, Channel channel) {
  channel.send_waiting(encode(FromListener(Listening{1})));
  channel.send_waiting(encode(FromListener(LeftOut{7, 0})));
  read_to_the_end(channel);
  return 0;
}

int listener_that_answers(const ListenerSettings&, Channel channel) {
  channel.send_waiting(encode(FromListener(Listening{1})));
  pollfd readable{channel.fd(), POLLIN, 0};
  poll(&readable, 1, -1);
  channel.send_waiting(encode(FromListener(ListenerStatus{})));
  read_to_the_end(channel);
  return 0;
}

int listener_that_ends(const ListenerSettings&, Channel channel) {
  channel.send_waiting(encode(FromListener(Trouble{})));
  return 1;
}

int listener_that_dies(const ListenerSettings&, Channel) {
  raise(SIGKILL);
  return 0;
}

int listener_that_falls_silent(const ListenerSettings&, Channel channel) {
  channel = Channel(UniqueFd());
  for (;;) pause();
}

int evil_listener(const ListenerSettings&, Channel channel) {
  channel.send_waiting(encode(FromListener(Listening{1})));
  channel.send_waiting(std::vector<uint8_t>(50, 0xee));
  channel.send_waiting(encode(FromListener(LeftOut{7, 0})));
  read_to_the_end(channel);
  return 0;
}

int full_channel[2];  // a pipe, over which this one reports that the channel is full

int listener_that_fills_its_channel(const ListenerSettings&, Channel channel) {
  channel.send_waiting(encode(FromListener(Listening{1})));
  while (channel.send(encode(FromListener(LeftOut{7, 0}))) == Sent::kYes) {
  }
  if (write(full_channel[1], "x", 1) == 1) read_to_the_end(channel);
  return 0;
}

int listener_with_a_door_too_many(const ListenerSettings& settings, Channel channel) {
  KnockEvent event;
  event.kind = EventKind::kOpen;
  event.stage = 1;
  event.door = static_cast<DoorNumber>(settings.doors.size());
  channel.send_waiting(encode(FromListener(event)));
  read_to_the_end(channel);
  return 0;
}

// Reads nothing until SIGUSR1; then reports the number of messages.
int lazy_listener(const ListenerSettings&, Channel channel) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  channel.send_waiting(encode(FromListener(Listening{1})));
  int signal = 0;
  sigwait(&set, &signal);
  std::array<uint8_t, kLongestMessage> buffer;
  uint64_t in_order = 0;
  for (;;) {
    pollfd readable{channel.fd(), POLLIN, 0};
    poll(&readable, 1, -1);
    const Channel::Received received = channel.receive(buffer);
    if (received.kind == Channel::Received::Kind::kClosed) return 0;
    const auto message = decode_to_listener({buffer.data(), received.length});
    if (!message) continue;
    if (const auto* next = std::get_if<NextSequence>(&*message)) {
      if (next->generation == in_order) ++in_order;
    } else {
      channel.send_waiting(encode(FromListener(LeftOut{in_order, 0})));
    }
  }
}

class ListenerProcessTest : public ::testing::Test, public ListenerProcess::Owner {
 protected:
  void TearDown() override {
    const pid_t pid = process_ ? process_->pid() : 0;
    process_.reset();
    EXPECT_TRUE(pid == 0 || ends_soon(pid)) << "it was not killed with its object";
  }
  void start(ListenerEntry entry) {
    ListenerSettings settings;
    settings.doors.resize(2);
    process_ = *ListenerProcess::create(loop_, settings, entry, *this);
  }
  void on_message(ListenerProcess& from, const FromListener& message) override {
    EXPECT_EQ(&from, process_.get());
    const auto* const left_out = std::get_if<LeftOut>(&message);
    said_.push_back(left_out != nullptr
                        ? format("left out %llu", static_cast<unsigned long long>(left_out->lines))
                        : format("message %zu", message.index()));
  }
  void on_gone(ListenerProcess&, int status) override {
    said_.push_back("gone: " + end_text(status));
  }
  // Turns until the condition holds; otherwise fails the test and ends the process.
  void turn_until(const std::string& what, const std::function<bool()>& is_so) {
    bool late = false;
    EventLoop::Alarm deadline(loop_, [&late] { late = true; });
    loop_.refresh_clock();
    deadline.set(loop_.now() + std::chrono::seconds(10));
    while (!late && !is_so()) loop_.turn();
    if (!late) return;
    ADD_FAILURE() << "not within 10 s: " << what;
    if (process_->pid() > 0) kill(process_->pid(), SIGKILL);
  }
  void turn_until(const std::string& what) {
    turn_until(what, [&] { return !said_.empty() && said_.back() == what; });
  }
  // Reaps the process when SIGCHLD says that it has ended, as the keeper does.
  void turn_until_gone() {
    loop_.watch_signals({SIGCHLD}, [this](int) { reap(WNOHANG); });
    reap(WNOHANG);
    turn_until("it is gone", [&] { return !said_.empty() && said_.back().starts_with("gone"); });
  }
  // With nothing to do the loop sleeps.
  void expect_rest() {
    bool over = false;
    EventLoop::Alarm later(loop_, [&over] { over = true; });
    later.set(loop_.now() + std::chrono::milliseconds(50));
    int turns = 0;
    while (!over) {
      loop_.turn();
      ++turns;
    }
    EXPECT_LE(turns, 5);
  }
  void reap(int options) {
    int status = 0;
    if (process_->pid() > 0 && waitpid(process_->pid(), &status, options) > 0) {
      process_->reaped(status);
    }
  }

  EventLoop loop_;
  std::unique_ptr<ListenerProcess> process_;
  std::vector<std::string> said_;
};

TEST_F(ListenerProcessTest, MessagesReachTheOwnerInOrder) {
  start(good_listener);
  turn_until("left out 7");
  EXPECT_THAT(said_, ElementsAre("message 0", "left out 7"));
}

TEST_F(ListenerProcessTest, LastMessagesAreReceived_ThenItsEndOnce) {
  start(listener_that_ends);
  process_->send(StatusRequest());  // which it never reads
  turn_until_gone();
  EXPECT_THAT(said_, ElementsAre("message 4", "gone: exit status 1"));
  process_->send(StatusRequest());
  EventLoop::Alarm already(loop_, [] {});
  already.set(loop_.now());
  loop_.turn();
  EXPECT_THAT(said_, ElementsAre("message 4", "gone: exit status 1"));
}

TEST_F(ListenerProcessTest, DeathIsNoticed) {
  start(listener_that_dies);
  turn_until_gone();
  EXPECT_THAT(said_, ElementsAre("gone: killed by signal 9 (Killed)"));
}

TEST_F(ListenerProcessTest, LastMessagesAreReceived_WhenItIsReapedFirst) {
  start(listener_that_ends);
  reap(0);
  EXPECT_EQ(process_->pid(), 0);
  EXPECT_THAT(said_, ElementsAre());
  loop_.turn();
  EXPECT_THAT(said_, ElementsAre("message 4", "gone: exit status 1"));
}

TEST_F(ListenerProcessTest, ListenerThatOnlyClosesItsChannelIsEnded) {
  start(listener_that_falls_silent);
  turn_until_gone();
  EXPECT_THAT(said_, ElementsAre("gone: killed by signal 9 (Killed)"));
}

TEST_F(ListenerProcessTest, GarbageEndsIt_AndLaterMessagesAreIgnored) {
  start(evil_listener);
  turn_until_gone();
  EXPECT_THAT(said_, ElementsAre("message 0", "gone: killed by signal 9 (Killed)"));
  EXPECT_TRUE(process_->misbehaved());
}

TEST_F(ListenerProcessTest, KnockAtAMissingDoorIsGarbage) {
  start(listener_with_a_door_too_many);
  turn_until_gone();
  EXPECT_THAT(said_, ElementsAre("gone: killed by signal 9 (Killed)"));
}

TEST_F(ListenerProcessTest, SendNeverWaits_AndLosesNothing) {
  constexpr uint32_t kMany = 5000;
  start(lazy_listener);
  turn_until("message 0");
  for (uint32_t i = 0; i < kMany; ++i) {
    NextSequence next;
    next.generation = i;
    process_->send(next);
  }
  process_->send(StatusRequest());
  ASSERT_EQ(kill(process_->pid(), SIGUSR1), 0);
  turn_until(format("left out %u", kMany));
  expect_rest();
}

// On a clock by which each reading takes the whole time for reading all listeners.
TEST_F(ListenerProcessTest, BusyListenerGetsOneTurn) {
  ASSERT_EQ(pipe(full_channel), 0);
  EventLoop loop(+[] {
    static Instant now{};
    return now += std::chrono::milliseconds(10);
  });
  ListenerSettings settings;
  settings.doors.resize(2);
  process_ = *ListenerProcess::create(loop, settings, listener_that_fills_its_channel, *this);
  pollfd is_full{full_channel[0], POLLIN, 0};
  ASSERT_EQ(poll(&is_full, 1, 10'000), 1) << "it has not filled its channel within 10 s";
  loop.poll();
  EXPECT_THAT(said_.size(), ::testing::AllOf(::testing::Ge(1u), ::testing::Le(16u)))
      << "were read in one turn";
  loop.poll();
  EXPECT_THAT(said_.size(), ::testing::Ge(17u)) << "the next turn goes on";
  TearDown();
  for (const int fd : full_channel) close(fd);
}

TEST_F(ListenerProcessTest, RequestedAnswerIsAccepted) {
  start(listener_that_answers);
  process_->send(StatusRequest());
  turn_until("the answer", [&] { return said_.size() == 2; });
  EXPECT_FALSE(process_->misbehaved());
}

TEST_F(ListenerProcessTest, ListenerThatNeverReadsIsEnded) {
  start(lazy_listener);
  turn_until("message 0");
  for (int i = 0; i < 20'000; ++i) process_->send(NextSequence());
  turn_until_gone();
  EXPECT_THAT(said_, ElementsAre("message 0", "gone: killed by signal 9 (Killed)"));
  EXPECT_TRUE(process_->misbehaved());
}

TEST_F(ListenerProcessTest, ProcessEndsWithIt) {
  start(good_listener);
  const pid_t pid = process_->pid();
  process_.reset();
  EXPECT_TRUE(ends_soon(pid));
}

TEST_F(ListenerProcessTest, ReapedPidIsNotSignalled) {
  start(listener_that_ends);
  turn_until_gone();
  EXPECT_EQ(process_->pid(), 0);
}

}  // namespace
}  // namespace knockd
