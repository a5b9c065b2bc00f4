// SPDX-License-Identifier: MIT
// The loop with the real kernel. No test sleeps: alarms that must ring are in the past or a moment
// ahead, and a turn returns once it had something to do.
#include "knockd/base/event_loop.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/timerfd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/base/child.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Pipe {
 public:
  Pipe() {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    out_.reset(ends[0]);
    in_.reset(ends[1]);
  }
  int fd() const { return out_.get(); }
  void fill() const { ASSERT_EQ(::write(in_.get(), "x", 1), 1); }
  void drain() const {
    char byte;
    ASSERT_EQ(::read(out_.get(), &byte, 1), 1);
  }
  void close() {
    in_.reset();
    out_.reset();
  }

 private:
  UniqueFd in_, out_;
};

class EventLoopTest : public ::testing::Test {
 protected:
  void say(const std::string& what) { said_.push_back(what); }
  // One turn that cannot block: an alarm is due in it.
  std::vector<std::string> turn() {
    EventLoop::Alarm already(loop_, [] {});
    already.set(loop_.now());
    loop_.turn();
    return std::exchange(said_, {});
  }
  // Turns until a callback has recorded something.
  std::vector<std::string> turn_until_said() {
    while (said_.empty()) loop_.turn();
    return std::exchange(said_, {});
  }

  EventLoop loop_;
  std::vector<std::string> said_;
};

TEST_F(EventLoopTest, CallsBackWhileADescriptorIsReadable) {
  Pipe pipe;
  loop_.watch(pipe.fd(), EPOLLIN, [&] { say("readable"); });
  EXPECT_THAT(turn(), IsEmpty());
  pipe.fill();
  EXPECT_THAT(turn(), ElementsAre("readable"));
  EXPECT_THAT(turn(), ElementsAre("readable"));
  pipe.drain();
  EXPECT_THAT(turn(), IsEmpty());
}

TEST_F(EventLoopTest, WatchingAgainReplacesTheCallback) {
  Pipe pipe;
  pipe.fill();
  loop_.watch(pipe.fd(), EPOLLIN, [&] { say("old"); });
  loop_.watch(pipe.fd(), EPOLLIN, [&] { say("new"); });
  EXPECT_THAT(turn(), ElementsAre("new"));
  loop_.watch(pipe.fd(), EPOLLOUT, [&] { say("writable"); });
  EXPECT_THAT(turn(), IsEmpty());
}

TEST_F(EventLoopTest, UnwatchedDescriptorIsSilent_AndMayBeUnwatchedAgain) {
  Pipe pipe;
  pipe.fill();
  loop_.watch(pipe.fd(), EPOLLIN, [&] { say("readable"); });
  loop_.unwatch(pipe.fd());
  loop_.unwatch(pipe.fd());
  EXPECT_THAT(turn(), IsEmpty());
}

TEST_F(EventLoopTest, WatchFails_WhenTheDescriptorCannotBeWatched) {
  EXPECT_FALSE(loop_.fault());
  EXPECT_FALSE(loop_.watch(-1, EPOLLIN, [] {}));
  EXPECT_EQ(errno, EBADF);
  const UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(loop_.watch(file.get(), EPOLLIN, [] {}));
  EXPECT_EQ(errno, EPERM);
  ASSERT_TRUE(loop_.fault());
  EXPECT_EQ(loop_.fault()->text, "epoll_ctl: Bad file descriptor");
}

TEST_F(EventLoopTest, CallbackMayUnwatchItself) {
  Pipe pipe;
  pipe.fill();
  loop_.watch(pipe.fd(), EPOLLIN, [&, name = std::string("a text that is not inline")] {
    loop_.unwatch(pipe.fd());
    pipe.close();
    say(name);
  });
  EXPECT_THAT(turn(), ElementsAre("a text that is not inline"));
  EXPECT_THAT(turn(), IsEmpty());
}

TEST_F(EventLoopTest, CallbackMayReplaceItself) {
  Pipe pipe;
  pipe.fill();
  loop_.watch(pipe.fd(), EPOLLIN, [&, name = std::string("a text that is not inline")] {
    loop_.watch(pipe.fd(), EPOLLIN, [&] { say("second"); });
    say(name);
  });
  EXPECT_THAT(turn(), ElementsAre("a text that is not inline"));
  EXPECT_THAT(turn(), ElementsAre("second"));
}

TEST_F(EventLoopTest, CallbackMayUnwatchAnotherOfTheSameTurn) {
  Pipe a, b;
  a.fill();
  b.fill();
  loop_.watch(a.fd(), EPOLLIN, [&] {
    say("one of two");
    loop_.unwatch(b.fd());
    b.close();
  });
  loop_.watch(b.fd(), EPOLLIN, [&] {
    say("one of two");
    loop_.unwatch(a.fd());
    a.close();
  });
  EXPECT_THAT(turn(), ElementsAre("one of two"));
}

TEST_F(EventLoopTest, CallbackMayWatchAnother) {
  Pipe a, b;
  a.fill();
  b.fill();
  loop_.watch(a.fd(), EPOLLIN, [&] {
    say("a");
    loop_.unwatch(a.fd());
    loop_.watch(b.fd(), EPOLLIN, [&] { say("b"); });
  });
  EXPECT_THAT(turn(), ElementsAre("a"));
  EXPECT_THAT(turn(), ElementsAre("b"));
}

TEST_F(EventLoopTest, AlarmRingsOnce_WhenItsTimeHasCome) {
  EventLoop::Alarm alarm(loop_, [&] { say("ring"); });
  const Instant when = BootClock::now() + 2ms;
  alarm.set(when);
  EXPECT_THAT(turn_until_said(), ElementsAre("ring"));
  EXPECT_GE(loop_.now(), when);
  EXPECT_EQ(alarm.when(), std::nullopt);
  EXPECT_THAT(turn(), IsEmpty());
}

TEST_F(EventLoopTest, AlarmInThePastRingsAtOnce) {
  EventLoop::Alarm alarm(loop_, [&] { say("ring"); });
  alarm.set(Instant());
  EXPECT_THAT(turn_until_said(), ElementsAre("ring"));
  alarm.set(Instant() - 1h);
  EXPECT_THAT(turn_until_said(), ElementsAre("ring"));
}

TEST_F(EventLoopTest, UnsetAndFarAlarmsAreSilent) {
  EventLoop::Alarm unset(loop_, [&] { say("unset"); });
  EventLoop::Alarm far(loop_, [&] { say("far"); });
  EventLoop::Alarm taken_back(loop_, [&] { say("taken back"); });
  far.set(Instant::max());
  taken_back.set(Instant());
  taken_back.set(std::nullopt);
  EXPECT_THAT(turn(), IsEmpty());
}

// A kernel timer with 32-bit seconds cannot reach that far.
TEST_F(EventLoopTest, AlarmInManyYears_DoesNotKeepTheLoopBusy) {
  EventLoop::Alarm far(loop_, [&] { say("far"); });
  far.set(loop_.now() + std::chrono::seconds(int64_t{1} << 32) - 1s);
  const UniqueFd soon(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const itimerspec setting{{}, {0, 20'000'000}};
  ASSERT_EQ(timerfd_settime(soon.get(), 0, &setting, nullptr), 0);
  loop_.watch(soon.get(), EPOLLIN, [&] { say("soon"); });
  loop_.turn();
  EXPECT_THAT(said_, ElementsAre("soon"));
}

TEST_F(EventLoopTest, LaterAlarmDoesNotDelayAnEarlierOne) {
  EventLoop::Alarm later(loop_, [&] { say("later"); });
  later.set(BootClock::now() + 1h);
  EXPECT_THAT(turn(), IsEmpty());
  EventLoop::Alarm sooner(loop_, [&] { say("sooner"); });
  sooner.set(BootClock::now() + 2ms);
  EXPECT_THAT(turn_until_said(), ElementsAre("sooner"));
}

TEST_F(EventLoopTest, AlarmMayBeSetAgainInItsOwnCallback) {
  int rung = 0;
  EventLoop::Alarm* self = nullptr;
  EventLoop::Alarm alarm(loop_, [&] {
    if (++rung < 3) self->set(loop_.now());
    say("ring");
  });
  self = &alarm;
  alarm.set(loop_.now());
  while (rung < 3) loop_.turn();
  EXPECT_THAT(std::exchange(said_, {}), ElementsAre("ring", "ring", "ring"));
}

TEST_F(EventLoopTest, NoAlarmIsLost_WhenACallbackEndsAnother) {
  auto first = std::make_unique<EventLoop::Alarm>(loop_, [&] { say("first"); });
  EventLoop::Alarm second(loop_, [&] {
    first.reset();
    say("second");
  });
  EventLoop::Alarm third(loop_, [&] { say("third"); });
  second.set(loop_.now());
  third.set(loop_.now());
  std::vector<std::string> said = turn_until_said();
  if (said.size() < 2) said.push_back(turn_until_said().front());
  EXPECT_THAT(said, ElementsAre("second", "third"));
}

TEST_F(EventLoopTest, CallbackMayMakeAnAlarm) {
  std::unique_ptr<EventLoop::Alarm> made;
  EventLoop::Alarm alarm(loop_, [&] {
    made = std::make_unique<EventLoop::Alarm>(loop_, [&] { say("made"); });
    made->set(loop_.now());
  });
  alarm.set(loop_.now());
  EXPECT_THAT(turn_until_said(), ElementsAre("made"));
}

TEST_F(EventLoopTest, RunReturns_WhenACallbackStopsIt) {
  EventLoop::Alarm alarm(loop_, [&] {
    say("stop");
    loop_.stop();
  });
  alarm.set(loop_.now());
  loop_.run();
  EXPECT_THAT(said_, ElementsAre("stop"));
}

TEST_F(EventLoopTest, ClockStandsStillDuringATurn) {
  Instant in_callback;
  EventLoop::Alarm alarm(loop_, [&] {
    in_callback = loop_.now();
    while (BootClock::now() == in_callback) {
    }
    EXPECT_EQ(loop_.now(), in_callback);
    loop_.refresh_clock();
    EXPECT_GT(loop_.now(), in_callback);
    say("rung");
  });
  alarm.set(loop_.now());
  turn_until_said();
}

// These tests change the signal mask of the process.

TEST(EventLoopSignals, EachIsReportedInATurn) {
  const std::string said = in_child([] {
    std::string names;
    EventLoop loop;
    loop.watch_signals({SIGHUP, SIGUSR1, SIGTERM}, [&](int signal) {
      names += signal == SIGHUP ? "HUP " : signal == SIGUSR1 ? "USR1 " : "TERM ";
      if (signal == SIGTERM) loop.stop();
    });
    for (const int signal : {SIGHUP, SIGUSR1, SIGTERM}) raise(signal);
    if (!names.empty()) return std::string("called back outside of a turn");
    loop.run();
    return names;
  });
  EXPECT_EQ(said, "HUP USR1 TERM ");
}

TEST(EventLoopSignals, AreReported_WhenTheyCameBeforeTheLoopRan) {
  const std::string said = in_child([] {
    bool came = false;
    EventLoop loop;
    loop.watch_signals({SIGCHLD}, [&](int) { came = true; });
    const pid_t child = fork();
    if (child == 0) _exit(0);
    waitpid(child, nullptr, 0);
    loop.turn();
    return std::string(came ? "came" : "lost");
  });
  EXPECT_EQ(said, "came");
}

}  // namespace
}  // namespace knockd
