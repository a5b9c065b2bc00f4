// SPDX-License-Identifier: MIT
#include "knockd/keeper/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/control/call.h"
#include "tests/control/turning_loop.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class ControlTest : public ::testing::Test, public Control::Owner, protected TurningLoop {
 protected:
  ControlTest() : control_(loop_, log_, *this) { control_.open(path_, ""); }

  bool ask_listeners() override {
    ++asked_;
    return listens_;
  }
  StatusReport status() const override {
    StatusReport report;
    report.version = "9";
    report.commands_waiting = asked_;
    return report;
  }
  void log_status(const StatusReport& report) override {
    logged_.push_back("status of " + report.version);
  }
  Result<OpenedByHand> open_by_hand(const AskOpen& open, uid_t user) override {
    words_.push_back("open " + open.door + " to " + open.address.to_string() + " by " +
                     std::to_string(user));
    return opened_;
  }
  ClosedByHand close_by_hand(const Selection& selection, uid_t user) override {
    words_.push_back("close " + selection.door.value_or("any") + " by " + std::to_string(user));
    return closed_;
  }

  bool is_open(uint64_t) const override { return is_open_; }
  Answer fleet_open(const AskFleetOpen& ask) override {
    words_.push_back("fleet-open " + ask.door + " of " + ask.gateway);
    return {0, "open"};
  }
  Answer fleet_close(const AskFleetClose& ask) override {
    words_.push_back("fleet-close " + *ask.selection.door + " of " + ask.gateway);
    return {1, "nothing"};
  }
  Answer fleet_used(const AskFleetUsed& ask) override {
    words_.push_back("fleet-used " + ask.knock.secret);
    return {};
  }
  void share_codes(bool share) override { words_.push_back(share ? "share" : "do not share"); }
  void code_shared(uint64_t id) override { words_.push_back("shared " + std::to_string(id)); }

  // The answer to a caller.
  std::string ask(const std::string& line) {
    Call call(path_);
    call.say(line + '\n');
    call.say_no_more();
    turn_until("an answer", [&] { return call.is_over(); });
    return call.heard();
  }
  void happens(HappeningKind event, uint64_t id) {
    Happening happening;
    happening.event = event;
    happening.id = id;
    control_.on_happening(happening);
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "control";
  RecordingLog log_;
  bool listens_ = false;
  unsigned asked_ = 0;
  std::vector<std::string> logged_;
  std::vector<std::string> words_;
  Result<OpenedByHand> opened_ = Fault{"no door is called so"};
  ClosedByHand closed_;
  bool is_open_ = true;
  Control control_;
};

// --- Status

TEST_F(ControlTest, StatusHasThreeForms) {
  EXPECT_THAT(ask("status"), StartsWith("{\"version\":\"9\","));
  EXPECT_THAT(ask("status\tjson"), StartsWith("{\"version\":\"9\","));
  EXPECT_THAT(ask("status\ttable"), StartsWith("{\"status\":0,\"text\":\"knockd 9, pid "));
  EXPECT_THAT(ask("status\tprometheus"), StartsWith("{\"status\":0,\"text\":\"# HELP knockd_"));
}

TEST_F(ControlTest, StatusWaitsForTheListeners_ButNotForASilentOne) {
  listens_ = true;
  Call call(path_);
  call.say("status\n");
  turn_until("it is asked", [&] { return asked_ == 1; });
  pass(29ms);
  EXPECT_EQ(call.heard(), "");
  control_.on_counted();
  turn_until("the answer", [&] { return !call.heard().empty(); });
  Call other(path_);
  other.say("status\n");
  turn_until("it is asked", [&] { return asked_ == 2; });
  pass(30ms);
  turn_until("the answer", [&] { return !other.heard().empty(); });
}

TEST_F(ControlTest, SimultaneousCallersAreAnsweredTogether) {
  listens_ = true;
  Call one(path_);
  Call other(path_);
  one.say("status\n");
  other.say("status\n");
  control_.log_status();
  pass(0s);
  control_.on_counted();
  turn_until("both answers", [&] { return !one.heard().empty() && !other.heard().empty(); });
  EXPECT_EQ(asked_, 1u);
  EXPECT_THAT(logged_, ElementsAre("status of 9"));
}

TEST_F(ControlTest, UnrequestedCountsAreHarmless) {
  control_.on_counted();
  EXPECT_THAT(logged_, IsEmpty());
}

TEST_F(ControlTest, InvalidRequestIsAnsweredInOneLine) {
  EXPECT_EQ(ask("nonsense"),
            "{\"status\":1,\"text\":\"expected status, close, open or events, "
            "not \\\"nonsense\\\"\"}\n");
}

// --- By hand

TEST_F(ControlTest, ClosedAtOnce) {
  closed_ = {3, {}};
  EXPECT_EQ(ask("close\tssh"), "{\"status\":0,\"text\":\"3 openings closed\"}\n");
  EXPECT_THAT(words_, ElementsAre("close ssh by " + std::to_string(geteuid())));
  closed_ = {0, {}};
  EXPECT_EQ(ask("close\tall"), "{\"status\":1,\"text\":\"nothing was open there\"}\n");
}

TEST_F(ControlTest, CloseIsAnsweredWhenTheStopCommandsHaveEnded) {
  closed_ = {2, {7, 8}};
  Call call(path_);
  call.say("close\tall\n");
  turn_until("it is asked", [&] { return !words_.empty(); });
  control_.on_command_ended({7, CommandKind::kStop, "ssh", ""});
  happens(HappeningKind::kClosed, 7);
  happens(HappeningKind::kOpen, 8);
  happens(HappeningKind::kClosed, 99);
  pass(9s);
  EXPECT_EQ(call.heard(), "");
  happens(HappeningKind::kClosed, 8);
  turn_until("the answer", [&] { return !call.heard().empty(); });
  EXPECT_EQ(call.heard(), "{\"status\":0,\"text\":\"2 openings closed\"}\n");
}

TEST_F(ControlTest, WhatTheKernelDoesNotTakeOutIsNoSuccess) {
  closed_ = {2, {}, 1};
  EXPECT_EQ(
      ask("close\tall"),
      "{\"status\":1,\"text\":\"1 of 2 openings closed; 1 cannot be closed before the time is "
      "over, see the log\"}\n");
  closed_ = {1, {7}};  // later than in the turn of the request
  Call call(path_);
  call.say("close\tall\n");
  turn_until("it is asked", [&] { return words_.size() == 2; });
  control_.on_not_shut(7);
  control_.on_not_shut(8);
  happens(HappeningKind::kClosed, 7);
  turn_until("the answer", [&] { return !call.heard().empty(); });
  EXPECT_EQ(call.heard(),
            "{\"status\":1,\"text\":\"0 of 1 opening closed; 1 cannot be closed before the time is "
            "over, see the log\"}\n");
}

TEST_F(ControlTest, FailedStopCommandIsAFailure) {
  closed_ = {1, {7}};
  Call call(path_);
  call.say("close\tall\n");
  turn_until("it is asked", [&] { return !words_.empty(); });
  control_.on_command_ended({7, CommandKind::kStop, "ssh", "returned non-zero status code (1)"});
  EXPECT_EQ(call.heard(), "");
  happens(HappeningKind::kClosed, 7);
  turn_until("the answer", [&] { return !call.heard().empty(); });
  EXPECT_EQ(call.heard(),
            "{\"status\":1,\"text\":\"1 of 1 opening closed; "
            "1 stop command failed, see the log\"}\n");
}

TEST_F(ControlTest, HungStopCommandIsAFailure) {
  closed_ = {2, {7, 8}};
  Call call(path_);
  call.say("close\tall\n");
  turn_until("it is asked", [&] { return !words_.empty(); });
  happens(HappeningKind::kClosed, 7);
  pass(10s);
  turn_until("the answer", [&] { return !call.heard().empty(); });
  EXPECT_EQ(call.heard(),
            "{\"status\":1,\"text\":\"1 of 2 openings closed; "
            "1 stop command still running\"}\n");
  happens(HappeningKind::kClosed, 8);
}

TEST_F(ControlTest, EachCallerWaitsNoLongerThanItsOwnTime) {
  Call first(path_);
  Call second(path_);
  closed_ = {1, {7}};
  first.say("close\tssh\n");
  turn_until("the first asks", [&] { return words_.size() == 1; });
  pass(9s);
  closed_ = {1, {8}};
  second.say("close\tweb\n");
  turn_until("the second asks", [&] { return words_.size() == 2; });
  pass(1s);
  EXPECT_THAT(first.heard(), HasSubstr("1 stop command still running"));
  EXPECT_EQ(second.heard(), "");
  pass(9s);
  EXPECT_THAT(second.heard(), HasSubstr("1 stop command still running"));
}

TEST_F(ControlTest, FailedStartCommandIsNotAFailedStopCommand) {
  closed_ = {1, {7}};
  Call call(path_);
  call.say("close\tall\n");
  turn_until("it is asked", [&] { return !words_.empty(); });
  control_.on_command_ended({7, CommandKind::kStart, "ssh", "returned non-zero status code (1)"});
  control_.on_command_ended({7, CommandKind::kStop, "ssh", ""});
  happens(HappeningKind::kClosed, 7);
  turn_until("the answer", [&] { return !call.heard().empty(); });
  EXPECT_EQ(call.heard(), "{\"status\":0,\"text\":\"1 opening closed\"}\n");
}

TEST_F(ControlTest, OpenedAtOnceWithoutACommand) {
  opened_ = OpenedByHand{7, false, "ssh is open"};
  EXPECT_EQ(ask("open\tssh\t192.0.2.7"), "{\"status\":0,\"text\":\"ssh is open\"}\n");
  EXPECT_THAT(words_, ElementsAre("open ssh to 192.0.2.7 by " + std::to_string(geteuid())));
  opened_ = Fault{"no door is called so"};
  EXPECT_EQ(ask("open\tssh\t192.0.2.7"), "{\"status\":1,\"text\":\"no door is called so\"}\n");
}

TEST_F(ControlTest, OpenIsAnsweredWhenTheStartCommandHasEnded) {
  opened_ = OpenedByHand{7, true, "ssh is open"};
  Call call(path_);
  call.say("open\tssh\t192.0.2.7\n");
  turn_until("it is asked", [&] { return !words_.empty(); });
  control_.on_command_ended({8, CommandKind::kStart, "ssh", ""});
  pass(0s);
  EXPECT_EQ(call.heard(), "");
  control_.on_command_ended({7, CommandKind::kStart, "ssh", ""});
  turn_until("the answer", [&] { return !call.heard().empty(); });
  EXPECT_EQ(call.heard(), "{\"status\":0,\"text\":\"ssh is open\"}\n");
}

TEST_F(ControlTest, FailedOrHungStartCommandIsAFailure) {
  opened_ = OpenedByHand{7, true, "ssh is open"};
  Call call(path_);
  call.say("open\tssh\t192.0.2.7\nopen\tssh\t192.0.2.7\n");
  turn_until("it is asked", [&] { return words_.size() == 1; });
  control_.on_command_ended({7, CommandKind::kStart, "ssh", "was killed by signal 9 (Killed)"});
  turn_until("it is asked again", [&] { return words_.size() == 2; });
  pass(10s);
  turn_until("both answers", [&] { return call.heard().find('\n') + 1 < call.heard().size(); });
  EXPECT_EQ(call.heard(),
            "{\"status\":1,\"text\":\"ssh is open; 1 start command failed, see the log\"}\n"
            "{\"status\":1,\"text\":\"ssh is open; 1 start command still running\"}\n");
}

TEST_F(ControlTest, OpenThatIsClosedMeanwhileIsAFailure) {
  opened_ = OpenedByHand{7, true, "ssh is open"};
  Call call(path_);
  call.say("open\tssh\t192.0.2.7\nopen\tssh\t192.0.2.7\n");
  turn_until("it is asked", [&] { return words_.size() == 1; });
  is_open_ = false;
  control_.on_command_ended({7, CommandKind::kStop, "ssh", "returned non-zero status code (1)"});
  pass(0s);
  EXPECT_EQ(call.heard(), "") << "the start command still runs";
  control_.on_command_ended({7, CommandKind::kStart, "ssh", ""});
  turn_until("it is asked again", [&] { return words_.size() == 2; });
  happens(HappeningKind::kClosed, 7);  // its start command had not begun
  turn_until("both answers", [&] { return call.heard().find('\n') + 1 < call.heard().size(); });
  const std::string answer =
      "{\"status\":1,\"text\":\"ssh was closed before its start command had ended\"}\n";
  EXPECT_EQ(call.heard(), answer + answer);
}

TEST_F(ControlTest, FailedStartCommandDoesNotFailTheClose) {
  closed_ = {1, {7}};
  Call call(path_);
  call.say("close\tall\n");
  turn_until("it is asked", [&] { return !words_.empty(); });
  control_.on_command_ended({7, CommandKind::kStart, "ssh", "returned non-zero status code (1)"});
  happens(HappeningKind::kClosed, 7);
  turn_until("the answer", [&] { return !call.heard().empty(); });
  EXPECT_EQ(call.heard(), "{\"status\":0,\"text\":\"1 opening closed\"}\n");
}

// --- Following

TEST_F(ControlTest, FollowersReceiveOneLinePerEvent) {
  Call call(path_);
  call.say("events\n");
  turn_until("it follows", [&] {
    happens(HappeningKind::kOpen, 7);
    loop_.poll();
    return !call.heard().empty();
  });
  EXPECT_THAT(call.heard(), HasSubstr("\"event\":\"open\",\"id\":7}\n"));
}

TEST_F(ControlTest, NinthFollowerIsRefused) {
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 9; ++i) {
    calls.push_back(std::make_unique<Call>(path_));
    calls.back()->say("events\n");
  }
  turn_until("the refusal", [&] { return !calls.back()->heard().empty(); });
  EXPECT_EQ(calls.back()->heard(), "{\"status\":1,\"text\":\"8 follow already, more may not\"}\n");
}

// --- The socket

TEST_F(ControlTest, FailedSocketIsOneWarning_AndAReloadRetries) {
  control_.open("/nonexistent/folder/control", "");
  EXPECT_THAT(log_.take(), ElementsAre(HasSubstr("nobody can ask for the status: "
                                                 "/nonexistent/folder: No such file")));
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  control_.open(path_, "");
  EXPECT_THAT(log_.take(), IsEmpty());
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
  const std::string later = folder_ / "later/control/socket";
  control_.open(later, "");
  ASSERT_EQ(mkdir((folder_ / "later").c_str(), 0700), 0);
  control_.open(later, "");
  EXPECT_EQ(access(later.c_str(), F_OK), 0) << "the path is the same, but now it can be made";
}

TEST_F(ControlTest, ReloadKeepsTheSocket_AndItsFollowers) {
  Call call(path_);
  control_.open(path_, "");
  pass(0s);
  EXPECT_FALSE(call.is_over());
  control_.open("", "");
  EXPECT_TRUE(call.is_over());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

// --- The fleet

TEST_F(ControlTest, FleetIsAnsweredAtOnce) {
  EXPECT_EQ(ask("fleet-open\tssh\t192.0.2.7\t1\tb"), "{\"status\":0,\"text\":\"open\"}\n");
  EXPECT_EQ(ask("fleet-close\tssh\t192.0.2.7\tb"), "{\"status\":1,\"text\":\"nothing\"}\n");
  EXPECT_EQ(ask("fleet-used\t0123456789012345\t1\t::\tb"), "{\"status\":0,\"text\":\"\"}\n");
  EXPECT_THAT(words_, ElementsAre("fleet-open ssh of b", "fleet-close ssh of b",
                                  "fleet-used 0123456789012345"));
}

TEST_F(ControlTest, SharingEndsWithItsConnection_AndIsOneConnections) {
  Call fleet(path_);
  const auto answered = [&](Call& call, const char* request) {
    call.drop();
    call.say(std::string(request) + '\n');
    turn_until(request, [&] { return call.heard().ends_with("}\n"); });
    return call.heard().substr(0, 11);
  };
  EXPECT_EQ(answered(fleet, "fleet-shared\t7"), "{\"status\":1");
  EXPECT_EQ(answered(fleet, "fleet-share\tyes"), "{\"status\":0");
  EXPECT_EQ(answered(fleet, "fleet-shared\t7"), "{\"status\":0");
  EXPECT_EQ(answered(fleet, "fleet-share\tno"), "{\"status\":0");
  EXPECT_EQ(answered(fleet, "fleet-share\tyes"), "{\"status\":0");
  EXPECT_EQ(answered(fleet, "events"), "{\"status\":1") << "it would be a caller in two ways";
  Call other(path_);
  for (const char* const request : {"fleet-share\tyes", "fleet-share\tno", "fleet-shared\t7"}) {
    EXPECT_EQ(answered(other, request), "{\"status\":1") << request;
  }
  other.hang_up();
  pass(3600s);
  EXPECT_EQ(answered(fleet, "fleet-shared\t8"), "{\"status\":0");
  EXPECT_THAT(words_, ElementsAre("share", "shared 7", "do not share", "share", "shared 8"));
  words_.clear();
  fleet.hang_up();
  turn_until("it is gone", [&] { return !words_.empty(); });
  EXPECT_THAT(words_, ElementsAre("do not share"));
  Call next(path_);
  EXPECT_EQ(answered(next, "fleet-share\tyes"), "{\"status\":0");
}

}  // namespace
}  // namespace knockd
