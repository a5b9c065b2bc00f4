// SPDX-License-Identifier: MIT
#include "knockd/keeper/chronicle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ChronicleTest : public ::testing::Test, public Chronicle::Follower {
 protected:
  ChronicleTest() { chronicle_.set_follower(*this); }

  // Without the time, which comes from the machine.
  void on_happening(const Happening& happening) override {
    const std::string json = to_json(happening);
    told_.push_back("{" + json.substr(json.find("\"event\"")));
  }
  void on_not_shut(uint64_t) override {}
  void on_command_ended(const CommandEnd& end) override {
    ended_.push_back(end.door + ": " + end.failure);
  }

  void hear(EventKind kind, unsigned stage) {
    KnockEvent event;
    event.kind = kind;
    event.stage = static_cast<uint8_t>(stage);
    event.source = IpAddress::parse("192.0.2.7").value();
    event.came = {7, Protocol::kTcp};
    chronicle_.heard(event, "ssh", "eth0", Knock{8000, Protocol::kUdp});
  }
  static OpenDoor door() {
    OpenDoor door;
    door.id = 5;
    door.door = "ssh";
    door.source = IpAddress::parse("192.0.2.7").value();
    door.interface = "eth0";
    return door;
  }

  EventLoop loop_;
  Chronicle chronicle_{loop_};
  std::vector<std::string> told_;
  std::vector<std::string> ended_;
};

TEST_F(ChronicleTest, StageIsReported_ButNotAsAFailure) {
  hear(EventKind::kStage, 2);
  EXPECT_THAT(told_, ElementsAre(R"({"event":"stage","door":"ssh","address":"192.0.2.7",)"
                                 R"("interface":"eth0","stage":2})"));
  EXPECT_THAT(chronicle_.attempts().all(), IsEmpty());
}

TEST_F(ChronicleTest, FailedAttemptIsReportedAndKept) {
  hear(EventKind::kWrong, 2);
  hear(EventKind::kTimeout, 3);
  hear(EventKind::kScan, 2);
  EXPECT_THAT(
      told_,
      ElementsAre(R"({"event":"wrong","door":"ssh","address":"192.0.2.7","interface":"eth0",)"
                  R"("stage":2,"came":{"port":7,"protocol":"tcp"},)"
                  R"("expected":{"port":8000,"protocol":"udp"}})",
                  R"({"event":"timeout","door":"ssh","address":"192.0.2.7",)"
                  R"("interface":"eth0","stage":3})",
                  R"({"event":"scan","door":"ssh","address":"192.0.2.7",)"
                  R"("interface":"eth0","stage":2})"));
  std::vector<std::string> reasons;
  for (const FailedAttempt& attempt : chronicle_.attempts().all()) {
    reasons.push_back(reason_text(attempt));
  }
  EXPECT_THAT(reasons, ElementsAre("wrong knock tcp 7, expected udp 8000",
                                   "too slow, expected udp 8000", "port scan"));
}

TEST_F(ChronicleTest, CountsAreAddedUp) {
  chronicle_.add("ssh", {0, 1, 2, 3, 4});
  chronicle_.add("ssh", {0, 1, 2, 3, 4});
  chronicle_.add("web", {1, 9, 0, 0, 0});
  chronicle_.on_happened({Happened::What::kOpened, door(), {}});
  chronicle_.on_happened({Happened::What::kRenewed, door(), {}});
  chronicle_.on_happened({Happened::What::kClosed, door(), "command timeout"});
  chronicle_.on_happened({Happened::What::kRefused, door(), "64 commands wait"});
  chronicle_.on_command_ended({5, CommandKind::kStart, "ssh", "returned non-zero status code (1)"});
  chronicle_.on_command_ended({5, CommandKind::kStop, "ssh", ""});
  EXPECT_EQ(chronicle_.totals("ssh"), (DoorTotals{2, 1, 4, 6, 8, 1, 1}));
  EXPECT_EQ(chronicle_.totals("web"), (DoorTotals{9, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(chronicle_.totals("none"), DoorTotals());
}

TEST_F(ChronicleTest, OpeningHasAnEnd_OnlyIfItHasSomethingToUndo) {
  chronicle_.on_happened({Happened::What::kOpened, door(), {}});
  EXPECT_THAT(told_.back(), Not(HasSubstr("until")));
  OpenDoor with_stop = door();
  with_stop.stop_command = "close";
  with_stop.deadline = BootClock::now() + 1h;
  chronicle_.on_happened({Happened::What::kOpened, with_stop, {}});
  EXPECT_THAT(told_.back(), HasSubstr(R"("network":"192.0.2.7","interface":"eth0","until":)"));
  OpenDoor with_ports = door();
  with_ports.admission = Admission{{{22, Protocol::kTcp}}, {}, 96 + 24};
  chronicle_.on_happened({Happened::What::kRenewed, with_ports, {}});
  EXPECT_THAT(told_.back(), HasSubstr(R"({"event":"open","id":5,)"));
  EXPECT_THAT(told_.back(), HasSubstr(R"("network":"192.0.2.0/24",)"));
  EXPECT_THAT(told_.back(), HasSubstr("until"));
  chronicle_.on_happened({Happened::What::kClosed, with_ports, "command timeout"});
  EXPECT_THAT(told_.back(), HasSubstr(R"("why":"command timeout","by":"time"})"));
  EXPECT_THAT(told_.back(), Not(HasSubstr("until")));
}

TEST_F(ChronicleTest, RenewedAndFleetOpeningsAreReportedAsSuch) {
  OpenDoor one = door();
  chronicle_.on_happened({Happened::What::kOpened, one, {}});
  EXPECT_THAT(told_.back(), AllOf(Not(HasSubstr("renewed")), Not(HasSubstr("fleet"))));
  one.gateway = "site-b";
  chronicle_.on_happened({Happened::What::kRenewed, one, {}});
  EXPECT_THAT(told_.back(), HasSubstr(R"("renewed":true,"fleet":"site-b",)"));
  chronicle_.on_happened({Happened::What::kRefused, one, "why"});
  EXPECT_THAT(told_.back(), AllOf(HasSubstr(R"("fleet":"site-b")"), Not(HasSubstr("\"by\""))));
}

TEST_F(ChronicleTest, CauseOfClosingIsAKeyword) {
  using By = Happened::By;
  const std::pair<By, const char*> kTable[] = {
      {By::kTime, "time"}, {By::kHand, "hand"}, {By::kFleet, "fleet"}, {By::kShutdown, "shutdown"}};
  for (const auto& [by, word] : kTable) {
    chronicle_.on_happened({Happened::What::kClosed, door(), "why", by});
    EXPECT_THAT(told_.back(), HasSubstr(std::string("\"why\":\"why\",\"by\":\"") + word + "\"}"));
  }
}

TEST_F(ChronicleTest, CodeIsReported) {
  const CodeKnock knock{"1234567890123456", 58933214, door().source};
  chronicle_.code_used(7, "ssh", "alice", knock);
  chronicle_.code_used(0, "ssh", "alice", knock);
  EXPECT_THAT(told_, ElementsAre(R"({"event":"code","id":7,"door":"ssh","address":"192.0.2.7",)"
                                 R"("user":"alice","secret":"1234567890123456","step":58933214})",
                                 R"({"event":"code","door":"ssh","address":"192.0.2.7",)"
                                 R"("user":"alice","secret":"1234567890123456","step":58933214})"));
}

TEST_F(ChronicleTest, FloodOfRefusalsIsCounted_ButOnlyPartlyReported) {
  for (int i = 0; i < 1000; ++i) {
    chronicle_.on_happened({Happened::What::kRefused, door(), "64 commands wait"});
  }
  EXPECT_EQ(chronicle_.totals("ssh").refused, 1000u);
  EXPECT_THAT(told_, SizeIs(kDefaultLogRate));
  EXPECT_THAT(chronicle_.attempts().all(), SizeIs(1));
}

TEST_F(ChronicleTest, FloodOfRefusedCodesIsCounted_ButNotAllTold) {
  CompleteKnock knock;
  knock.source = door().source;
  knock.interface = "eth0";
  knock.stage = 4;
  for (int i = 0; i < 1000; ++i) chronicle_.code_refused(knock, "ssh", "it was used before");
  EXPECT_EQ(chronicle_.totals("ssh").refused, 1000u);
  EXPECT_THAT(told_, SizeIs(kDefaultLogRate));
  EXPECT_EQ(told_.back(),
            R"({"event":"refused","door":"ssh","address":"192.0.2.7",)"
            R"("interface":"eth0","stage":4,"why":"no such code: it was used before"})");
  EXPECT_EQ(reason_text(chronicle_.attempts().all().back()), "no such code: it was used before");
}

TEST_F(ChronicleTest, FailedCommandIsReported_SuccessfulOneIsNot) {
  chronicle_.on_command_ended({5, CommandKind::kStop, "ssh", "was killed by signal 9 (Killed)"});
  chronicle_.on_command_ended({5, CommandKind::kStart, "ssh", ""});
  EXPECT_THAT(told_, ElementsAre(R"({"event":"command_failed","id":5,"door":"ssh",)"
                                 R"x("why":"stop command: was killed by signal 9 (Killed)"})x"));
  EXPECT_THAT(ended_, ElementsAre("ssh: was killed by signal 9 (Killed)", "ssh: "));
}

TEST_F(ChronicleTest, ReloadAndInterfacesAreReported) {
  chronicle_.reloaded(true);
  chronicle_.reloaded(false);
  chronicle_.interface_changed("ppp0", "");
  chronicle_.interface_changed("ppp0", "interface ppp0 is down, waiting for it");
  EXPECT_THAT(told_,
              ElementsAre(R"({"event":"reload"})",
                          R"({"event":"reload","why":"the configuration is faulty, the old one )"
                          R"(stays in force"})",
                          R"({"event":"interface","interface":"ppp0","why":"listening"})",
                          R"({"event":"interface","interface":"ppp0",)"
                          R"("why":"interface ppp0 is down, waiting for it"})"));
}

}  // namespace
}  // namespace knockd
