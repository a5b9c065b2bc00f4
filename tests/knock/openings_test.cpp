// SPDX-License-Identifier: MIT
// One behaviour of an opening per test, checked by its actions; openings_oracle_test.cpp tries all
// other orders of events.
#include "tests/base/processor_time.h"
#include "tests/knock/openings_fixture.h"

namespace knockd {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto kStart = CommandKind::kStart;
constexpr auto kStop = CommandKind::kStop;

// --- From the knock to the end

TEST_F(OpeningsTest, KnockIsLoggedAndRecorded_AndItsStartWaitsForTheDisk) {
  knock(door("ssh"));
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: Stage 3", "192.0.2.7: ssh: OPEN SESAME",
                                      "record 1 until 10000 ms, then close 192.0.2.7"));
  sync();
  EXPECT_THAT(happened(), ElementsAre("run 1: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, StopRunsWhenTheTimeIsOver_AndItsEndEndsTheOpening) {
  knock(door("ssh"), kBob);
  sync();
  start_ends(1);
  forget_what_happened();
  time_is(9999);
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(openings_.open(), 1u);
  time_is(10000);
  EXPECT_THAT(happened(), ElementsAre("2001:db8::b: ssh: command timeout",
                                      "run 1: close 2001:db8::b (ssh, eth0)"));
  stop_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
  EXPECT_EQ(openings_.open(), 0u);
  EXPECT_EQ(openings_.next_alarm(), std::nullopt);
}

TEST_F(OpeningsTest, DoorWithoutStopRecordsNothing_AndEndsWithItsStart) {
  knock(door("log", [](Terms& terms) { terms.stop.clear(); }));
  sync();
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: log: Stage 3", "192.0.2.7: log: OPEN SESAME",
                                      "run 1: open 192.0.2.7 (log, eth0)"));
  EXPECT_EQ(openings_.open(), 0u);
  start_ends(1);
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(openings_.next_alarm(), std::nullopt);
}

TEST_F(OpeningsTest, DoorWithoutStartIsOpenOnceRecorded) {
  knock(door("ssh", [](Terms& terms) { terms.start.clear(); }));
  sync();
  forget_what_happened();
  time_is(10000);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, DoorWithoutCommandsOnlyLogs) {
  knock(door("bell", [](Terms& terms) {
    terms.start.clear();
    terms.stop.clear();
  }));
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: bell: Stage 3", "192.0.2.7: bell: OPEN SESAME"));
  EXPECT_EQ(openings_.waiting(), 0u);
}

TEST_F(OpeningsTest, LateStartGivesTheFullTimeAgain) {
  knock(door("ssh"));
  forget_what_happened();
  time_is(3000);
  sync();
  EXPECT_THAT(happened(), ElementsAre("record anew 1 until 13000 ms, then close 192.0.2.7",
                                      "run 1: open 192.0.2.7 (ssh, eth0)"));
}

// --- Another knock

TEST_F(OpeningsTest, ReknockRunOpensOnceMore_AfterTheFirstStart) {
  const auto ssh = door("ssh");
  knock(ssh);
  knock(ssh);
  sync();
  EXPECT_THAT(commands(), ElementsAre("run 1: open 192.0.2.7 (ssh, eth0)"));
  start_ends(1);
  EXPECT_THAT(commands(), ElementsAre("run 2: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, ReknockExtendRenewsTheTime) {
  const auto ssh = door("ssh", [](Terms& terms) { terms.reknock = Reknock::kExtend; });
  knock(ssh);
  sync();
  start_ends(1);
  time_is(4000);
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: Stage 3", "192.0.2.7: ssh: OPEN SESAME",
                                      "192.0.2.7: ssh: already open, time extended",
                                      "record anew 1 until 14000 ms, then close 192.0.2.7"));
  time_is(13999);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(14000);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
}

// The state after a reload that gave the door less time.
TEST_F(OpeningsTest, ReknockExtendNeverShortens) {
  knock(door("ssh", [](Terms& terms) { terms.reknock = Reknock::kExtend; }));
  sync();
  start_ends(1);
  time_is(1000);
  forget_what_happened();
  knock(door("ssh", [](Terms& terms) {
    terms.reknock = Reknock::kExtend;
    terms.open_for = std::chrono::seconds(5);
  }));
  EXPECT_THAT(happened(), testing::Not(testing::Contains(testing::HasSubstr("record"))));
  time_is(9999);
  EXPECT_THAT(commands(), IsEmpty());
  time_is(10000);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, ReknockIgnoreChangesNothing) {
  const auto ssh = door("ssh", [](Terms& terms) { terms.reknock = Reknock::kIgnore; });
  knock(ssh);
  sync();
  start_ends(1);
  time_is(4000);
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: Stage 3", "192.0.2.7: ssh: OPEN SESAME",
                                      "192.0.2.7: ssh: already open"));
  time_is(10000);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, KnockWhileTheStopRunsOpensAgain_AfterIt) {
  const auto ssh = door("ssh", [](Terms& terms) { terms.reknock = Reknock::kExtend; });
  knock(ssh);
  sync();
  start_ends(1);
  time_is(10000);
  forget_what_happened();
  knock(ssh);
  sync();
  EXPECT_THAT(commands(), IsEmpty());
  stop_ends(1);
  EXPECT_THAT(commands(), ElementsAre("run 2: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, CoolingDoorIgnoresAllKnocks_OtherDoorsDoNot) {
  const auto ssh = door("ssh", [](Terms& terms) { terms.cooldown = seconds(5); });
  knock(ssh);
  forget_what_happened();
  time_is(4999);
  knock(ssh, kBob);
  EXPECT_THAT(happened(), IsEmpty());
  knock(door("web"), kBob);
  EXPECT_THAT(happened(), testing::Contains("2001:db8::b: web: OPEN SESAME"));
  time_is(5000);
  knock(ssh, kBob);
  EXPECT_THAT(happened(), testing::Contains("2001:db8::b: ssh: OPEN SESAME"));
}

// --- One-time sequences

TEST_F(OpeningsTest, OneTimeSequenceIsMarkedBeforeAnythingOpens) {
  knock(door("once", [](Terms& terms) { terms.one_time = true; }));
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: once: Stage 3", "192.0.2.7: once: OPEN SESAME",
                                      "use a sequence for 1"));
  sync();
  EXPECT_THAT(happened(), IsEmpty());
  openings_.sequence_used(1, true, now());
  EXPECT_THAT(happened(), ElementsAre("record 1 until 10000 ms, then close 192.0.2.7"));
  sync();
  EXPECT_THAT(commands(), ElementsAre("run 1: open 192.0.2.7 (once, eth0)"));
}

TEST_F(OpeningsTest, NothingOpens_WhenTheSequenceCannotBeMarked) {
  knock(door("once", [](Terms& terms) { terms.one_time = true; }));
  forget_what_happened();
  openings_.sequence_used(1, false, now());
  sync();
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(openings_.waiting(), 0u);
}

// --- Codes

TEST_F(OpeningsTest, UserOfACodeIsLoggedBeforeOpening_AndReportedToFollowers) {
  CompleteKnock knock{door("ssh", [](Terms& terms) { terms.one_time = true; }),
                      *IpAddress::parse(kAlice), "eth0", 3};
  knock.user = "alice";
  knock.code = CodeTag{7, 9};
  openings_.knocked(knock, now());
  bool is_used = false;
  std::vector<std::string> said;
  for (const Action& action : openings_.take_actions()) {
    if (const auto* const say = std::get_if<Say>(&action)) said.push_back(say->text);
    if (const auto* const use = std::get_if<UseSequence>(&action)) {
      is_used = true;
      EXPECT_EQ(use->code, (CodeTag{7, 9}));
      EXPECT_EQ(use->source, *IpAddress::parse(kAlice));
    }
  }
  EXPECT_TRUE(is_used);
  EXPECT_THAT(said, ElementsAre("ssh: Stage 3", "ssh: knock of alice", "ssh: OPEN SESAME"));
  openings_.sequence_used(1, true, now());
  openings_.recorded(now());
  size_t told = 0;
  for (const Action& action : openings_.take_actions()) {
    if (const auto* const record = std::get_if<Record>(&action)) {
      EXPECT_EQ(record->door.user, "alice");
      ++told;
    } else if (const auto* const run = std::get_if<RunCommand>(&action)) {
      EXPECT_EQ(run->user, "alice");
      ++told;
    } else if (const auto* const happened = std::get_if<Happened>(&action)) {
      EXPECT_EQ(happened->door.user, "alice");
      ++told;
    }
  }
  EXPECT_EQ(told, 3u);
}

// --- Codes

class CodeAtADoor : public OpeningsTest {
 protected:
  // A complete knock with the code of this step, which may be used.
  void knock_with(uint16_t step, const std::shared_ptr<const Terms>& door,
                  const char* user = "alice", uint16_t number = 0) {
    CompleteKnock knock{door, *IpAddress::parse(kAlice), "eth0", 3};
    knock.user = user;
    knock.code = CodeTag{number, step};
    openings_.knocked(knock, now());
    openings_.sequence_used(++last_, true, now());
  }
  static std::shared_ptr<const Terms> code_door(Reknock reknock) {
    return door("ssh", [&](Terms& terms) {
      terms.one_time = true;
      terms.reknock = reknock;
    });
  }
};

// Packets get lost, so a source may repeat its code. Others may replay it, too, so that must not
// add up: the openings of one code would fill the door.
TEST_F(CodeAtADoor, RepeatedCodeRenewsItsOpening_EvenWhereEachKnockRunsTheCommand) {
  const auto ssh = code_door(Reknock::kRun);
  knock_with(9, ssh);
  sync();
  time_is(1000);
  forget_what_happened();
  knock_with(9, ssh);
  EXPECT_THAT(happened(), testing::IsSupersetOf({"192.0.2.7: ssh: already open, time extended",
                                                 "record anew 1 until 11000 ms, then close "
                                                 "192.0.2.7"}));
  EXPECT_EQ(openings_.open(), 1u);
  knock_with(10, ssh);
  EXPECT_EQ(openings_.open(), 2u) << "another code";
  knock_with(10, ssh);
  EXPECT_EQ(openings_.open(), 2u);
}

TEST_F(CodeAtADoor, CodesOfTwoUsersBehindOneAddress_RepeatedInTurn_HaveOneOpeningEach) {
  const auto ssh = code_door(Reknock::kRun);
  for (int i = 0; i < 3; ++i) {
    knock_with(9, ssh, "alice", 0);
    knock_with(9, ssh, "bob", 1);
    sync();
  }
  EXPECT_EQ(openings_.open(), 2u);
}

TEST_F(CodeAtADoor, UserIsRecognized_WhenAReloadHasNumberedTheUsersAnew) {
  const auto ssh = code_door(Reknock::kRun);
  knock_with(9, ssh, "alice", 0);
  sync();
  knock_with(9, ssh, "alice", 1);
  EXPECT_EQ(openings_.open(), 1u);
  knock_with(9, ssh, "bob", 0);
  EXPECT_EQ(openings_.open(), 2u);
}

TEST_F(CodeAtADoor, RepeatedCodeRunsAnotherCommandOfADoorOfTheSameName) {
  knock_with(9, code_door(Reknock::kRun));
  sync();
  knock_with(9, door("ssh", [](Terms& terms) {
               terms.one_time = true;
               terms.start = "another";
             }));
  EXPECT_EQ(openings_.open(), 2u);
}

TEST_F(CodeAtADoor, RepeatedCodeRunsTheCommandAgain_WhenItFailed) {
  const auto ssh = code_door(Reknock::kRun);
  knock_with(9, ssh);
  sync();
  openings_.ended(1, CommandKind::kStart, true, now());
  forget_what_happened();
  knock_with(9, ssh);
  sync();
  EXPECT_THAT(commands(), ElementsAre("run 2: open 192.0.2.7 (ssh, eth0)"));
  could_not_run(2, kStart, false);
  knock_with(9, ssh);
  sync();
  EXPECT_THAT(commands(), ElementsAre("run 3: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(CodeAtADoor, RepeatedCodeIsNotRefused_WhereTheDoorIsFull) {
  const auto ssh = door("ssh", [&](Terms& terms) {
    terms.one_time = true;
    terms.max_open = 1;
  });
  knock_with(9, ssh);
  sync();
  time_is(1000);
  forget_what_happened();
  knock_with(9, ssh);
  EXPECT_THAT(happened(), testing::Contains("192.0.2.7: ssh: already open, time extended"));
}

TEST_F(CodeAtADoor, RepeatedCodeDoesNotExtend_WhereReknocksAreIgnored) {
  const auto ssh = code_door(Reknock::kIgnore);
  knock_with(9, ssh);
  sync();
  time_is(1000);
  forget_what_happened();
  knock_with(9, ssh);
  EXPECT_THAT(happened(), testing::Contains("192.0.2.7: ssh: already open"));
}

TEST_F(OpeningsTest, AfterARestartTheStopCommandKnowsTheUser) {
  OpenDoor left{1,          "ssh", *IpAddress::parse(kAlice),      "eth0",
                "close it", {},    now() + std::chrono::seconds(1)};
  left.user = "alice";
  openings_.take_up({left}, now());
  openings_.time_passed(now() + std::chrono::seconds(2));
  std::vector<std::string> users;
  for (const Action& action : openings_.take_actions()) {
    if (const auto* const run = std::get_if<RunCommand>(&action)) users.push_back(run->user);
  }
  EXPECT_THAT(users, ElementsAre("alice"));
}

// --- The fleet

class OpeningsFleetTest : public OpeningsTest {
 protected:
  // Another gateway opened it; this many milliseconds are left.
  Openings::ByHand open(const std::shared_ptr<const Terms>& door, int64_t left) {
    Terms terms = *door;
    terms.open_for = std::chrono::milliseconds(left);
    terms.reknock = Reknock::kExtend;
    CompleteKnock knock{std::make_shared<const Terms>(terms), *IpAddress::parse(kAlice), "", 0};
    knock.user = "alice";
    knock.gateway = "site-b";
    return openings_.open_by_gateway(knock, now());
  }
  // The origin of each opening.
  std::string gateways() {
    std::string text;
    openings_.for_each_open(
        [&](const OpenDoor& door) { text += std::to_string(door.id) + ' ' + door.gateway + '\n'; });
    return text;
  }

  std::string said_;
};

TEST_F(OpeningsFleetTest, GatewayOpensWhereNothingIsOpen) {
  const auto opened = open(door("ssh"), 7000);
  EXPECT_EQ(opened.id, 1u);
  EXPECT_TRUE(opened.is_new);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: opened by gateway site-b for alice",
                                      "record 1 until 7000 ms, then close 192.0.2.7"));
  sync();
  EXPECT_THAT(happened(), ElementsAre("run 1: open 192.0.2.7 (ssh, )"));
  EXPECT_THAT(told(), ElementsAre("opened ssh 1 until 7000 ms"));
  EXPECT_EQ(gateways(), "1 site-b\n");
}

TEST_F(OpeningsFleetTest, GatewayExtendsAnOpening_WithoutAnotherStart) {
  const auto terms = door("ssh");
  knock(terms);
  sync();
  time_is(4000);
  forget_what_happened();
  const auto longer = open(terms, 10000);
  EXPECT_EQ(longer.id, 1u);
  EXPECT_FALSE(longer.is_new);
  EXPECT_EQ(longer.deadline, Instant(std::chrono::milliseconds(14000)));
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: opened by gateway site-b for alice",
                                      "192.0.2.7: ssh: already open, time extended",
                                      "record anew 1 until 14000 ms, then close 192.0.2.7"));
  EXPECT_THAT(told(), ElementsAre("renewed ssh 1 until 14000 ms"));
  EXPECT_EQ(gateways(), "1 site-b\n");
}

TEST_F(OpeningsFleetTest, GatewayNeverShortens_AndThatIsNotReported) {
  const auto terms = door("ssh");
  knock(terms);
  sync();
  start_ends(1);
  time_is(2000);
  forget_what_happened();
  for (const int64_t left : {1, 7999, 8000, 8010}) {
    const auto same = open(terms, left);
    EXPECT_EQ(same.id, 1u);
    EXPECT_FALSE(same.is_new);
    EXPECT_EQ(same.deadline, Instant(std::chrono::milliseconds(10000)));
  }
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(gateways(), "1 \n") << "it is still that of who knocked here";
  EXPECT_EQ(openings_.open(), 1u);
  EXPECT_EQ(openings_.waiting(), 0u);
  open(terms, 8011);
  EXPECT_EQ(gateways(), "1 site-b\n");
}

TEST_F(OpeningsFleetTest, TheLongestOfSeveralWins) {
  const auto terms = door("ssh");
  knock(door("ssh", [](Terms& changed) { changed.open_for = std::chrono::seconds(60); }));
  knock(terms);
  sync();
  forget_what_happened();
  EXPECT_EQ(open(terms, 30000).id, 1u);
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(open(terms, 70000).id, 1u);
  EXPECT_EQ(gateways(), "1 site-b\n2 \n");
}

TEST_F(OpeningsFleetTest, LocalKnockTakesTheOpeningOver) {
  const auto terms = port_door("ssh", [](Terms& changed) { changed.reknock = Reknock::kExtend; });
  open(terms, 7000);
  let_in(1);
  sync();
  time_is(1000);
  forget_what_happened();
  knock(terms);
  EXPECT_THAT(happened(), Contains("let in again 1 until 11000 ms"));
  EXPECT_EQ(gateways(), "1 \n");
}

TEST_F(OpeningsFleetTest, EachSourceAndDoorHasItsOwnOpening) {
  knock(door("ssh"));
  knock(door("ssh"), kBob);
  EXPECT_EQ(open(door("web"), 7000).id, 3u);
}

TEST_F(OpeningsFleetTest, CooldownIsNeitherStartedNorApplied) {
  const auto terms =
      door("ssh", [](Terms& changed) { changed.cooldown = std::chrono::seconds(60); });
  open(terms, 7000);
  forget_what_happened();
  knock(terms, kBob);
  EXPECT_THAT(happened(), Contains("2001:db8::b: ssh: OPEN SESAME"));
  EXPECT_NE(open(terms, 9000).id, 0u);
}

TEST_F(OpeningsFleetTest, LackOfRoomIsReportedWithTheGateway) {
  const auto terms = door("ssh", [](Terms& changed) { changed.max_open = 1; });
  knock(terms, kBob);
  forget_what_happened();
  const auto refused = open(terms, 7000);
  EXPECT_EQ(refused.id, 0u);
  EXPECT_EQ(refused.refused, "1 opening is open (Max_Open)");
  std::string gateway;
  for (const Action& action : openings_.take_actions()) {
    if (const auto* const told = std::get_if<Happened>(&action)) gateway = told->door.gateway;
  }
  EXPECT_EQ(gateway, "site-b");
  openings_.shut_down(true, now());
  EXPECT_EQ(open(terms, 7000).refused, "closing, knockd is shutting down");
}

// An opening that began late on another gateway would end late there.
TEST_F(OpeningsFleetTest, LateStartGivesNoExtraTime) {
  const auto terms = door("ssh");
  knock(terms);
  sync();
  open(door("ssh", [](Terms& changed) { changed.admission = kSsh; }), 7000);  // not renewable
  let_in(2);
  sync();
  time_is(5000);
  forget_what_happened();
  start_ends(1);
  EXPECT_THAT(happened(), ElementsAre("run 2: open 192.0.2.7 (ssh, )"));
  time_is(7000);
  EXPECT_THAT(happened(), Contains("192.0.2.7: ssh: command timeout"));
}

TEST_F(OpeningsFleetTest, TooLateStartIsNotRun) {
  knock(door("ssh", [](Terms& changed) { changed.stop.clear(); }));
  sync();
  open(door("ssh"), 7000);
  sync();
  knock(door("ssh"));
  sync();
  time_is(8000);
  forget_what_happened();
  start_ends(1);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: command timeout", "forget 2",
                                      "record anew 3 until 18000 ms, then close 192.0.2.7",
                                      "run 3: open 192.0.2.7 (ssh, eth0)"));
  EXPECT_THAT(told(), Contains("closed ssh 2: command timeout"));
  start_ends(3);
  EXPECT_EQ(openings_.running() + openings_.waiting(), 0u);
}

TEST_F(OpeningsFleetTest, LateStartOfALocalKnockGivesTheFullTime_AsALocalOpening) {
  knock(door("ssh", [](Terms& changed) { changed.stop.clear(); }));
  sync();
  knock(door("ssh"));
  sync();
  time_is(1000);
  open(door("ssh"), 10000);
  EXPECT_EQ(gateways(), "2 site-b\n");
  time_is(12000);
  forget_what_happened();
  start_ends(1);
  EXPECT_THAT(happened(), Contains("record anew 2 until 22000 ms, then close 192.0.2.7"));
  EXPECT_EQ(gateways(), "2 \n");
}

TEST_F(OpeningsFleetTest, CauseOfClosingIsReportedToPrograms) {
  using By = Happened::By;
  const auto terms = port_door("ssh");
  const auto closed_by = [this] {
    std::optional<By> by;
    for (const Action& action : openings_.take_actions()) {
      const auto* const told = std::get_if<Happened>(&action);
      if (told != nullptr && told->what == Happened::What::kClosed) by = told->by;
      const auto* const said = std::get_if<Say>(&action);
      if (said != nullptr) said_ = said->text;
    }
    return by;
  };
  const auto begin = [&] {
    knock(terms);
    let_in(++last_);
    sync();
    forget_what_happened();
  };
  begin();
  time_is(10000);
  EXPECT_EQ(closed_by(), By::kTime);
  begin();
  openings_.close_by_hand({}, 1000, now());
  openings_.time_passed(now());
  EXPECT_EQ(closed_by(), By::kHand);
  begin();
  EXPECT_THAT(openings_.close_by_gateway({"ssh", *IpAddress::parse(kAlice)}, "site-b", now()),
              ElementsAre(3));
  EXPECT_THAT(openings_.close_by_gateway({"ssh", *IpAddress::parse(kAlice)}, "site-b", now()),
              IsEmpty());
  openings_.time_passed(now());
  EXPECT_EQ(closed_by(), By::kFleet);
  EXPECT_EQ(said_, "ssh: closed by gateway site-b");
  begin();
  openings_.shut_down(true, now());
  EXPECT_EQ(closed_by(), By::kShutdown);
}

TEST_F(OpeningsFleetTest, AfterARestartTheOpeningStillBelongsToTheGateway) {
  OpenDoor left = recorded_door(1, "ssh", 9000);
  left.gateway = "site-b";
  openings_.take_up({left}, now());
  EXPECT_EQ(gateways(), "1 site-b\n");
}

// --- Ports that the kernel lets a knocker in to

TEST_F(OpeningsTest, KnockerIsAdmittedAtOnce_AndDismissedWhenTheTimeIsOver) {
  knock(port_door("ssh"));
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: Stage 3", "192.0.2.7: ssh: OPEN SESAME",
                                      "let in 1 until 10000 ms"));
  let_in(1);
  EXPECT_THAT(happened(), ElementsAre("record 1 until 10000 ms"));
  sync();
  EXPECT_EQ(openings_.open(), 1u);
  EXPECT_EQ(openings_.waiting(), 0u);
  time_is(9999);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(10000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: command timeout", "dismiss 1", "forget 1"));
  EXPECT_EQ(openings_.open(), 0u);
  EXPECT_EQ(openings_.waiting(), 0u);
  EXPECT_EQ(openings_.next_alarm(), std::nullopt);
}

TEST_F(OpeningsTest, KnockerIsAdmittedBeforeTheStartCommand_AndDismissedBeforeTheStopCommand) {
  knock(door("ssh", [](Terms& terms) { terms.admission = kSsh; }));
  forget_what_happened();
  let_in(1);
  EXPECT_THAT(happened(), ElementsAre("record 1 until 10000 ms, then close 192.0.2.7"));
  sync();
  EXPECT_THAT(happened(), ElementsAre("run 1: open 192.0.2.7 (ssh, eth0)"));
  start_ends(1);
  time_is(10000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: command timeout", "dismiss 1",
                                      "run 1: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
}

TEST_F(OpeningsTest, DoorWithPortsAndOnlyAStopIsOpenOnceRecorded) {
  knock(door("ssh", [](Terms& terms) {
    terms.start.clear();
    terms.admission = kSsh;
  }));
  let_in(1);
  sync();
  forget_what_happened();
  time_is(10000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: command timeout", "dismiss 1",
                                      "run 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, NothingOpensAndNothingIsRecorded_WhenTheKernelRefuses) {
  const auto ssh = door("ssh", [](Terms& terms) {
    terms.admission = kSsh;
    terms.max_open = 1;
  });
  knock(ssh);
  forget_what_happened();
  openings_.admitted(1, false);
  sync();
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(openings_.open(), 0u);
  EXPECT_EQ(openings_.waiting(), 0u);
  EXPECT_EQ(openings_.next_alarm(), std::nullopt);
  knock(ssh);  // has room
  EXPECT_THAT(happened(), testing::Contains("let in 2 until 10000 ms"));
}

TEST_F(OpeningsTest, OneTimeSequenceIsMarkedBeforeAdmission_AndUsedUpWhenTheKernelRefuses) {
  knock(port_door("once", [](Terms& terms) { terms.one_time = true; }));
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: once: Stage 3", "192.0.2.7: once: OPEN SESAME",
                                      "use a sequence for 1"));
  openings_.sequence_used(1, true, now());
  EXPECT_THAT(happened(), ElementsAre("let in 1 until 10000 ms"));
  openings_.admitted(1, false);
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(openings_.waiting(), 0u);
}

TEST_F(OpeningsTest, NobodyIsAdmitted_WhenTheSequenceCannotBeMarked) {
  knock(port_door("once", [](Terms& terms) { terms.one_time = true; }));
  forget_what_happened();
  openings_.sequence_used(1, false, now());
  sync();
  EXPECT_THAT(happened(), IsEmpty());
}

TEST_F(OpeningsTest, ReknockExtendAdmitsForLonger) {
  const auto ssh = port_door("ssh", [](Terms& terms) { terms.reknock = Reknock::kExtend; });
  knock(ssh);
  let_in(1);
  sync();
  time_is(4000);
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(),
              ElementsAre("192.0.2.7: ssh: Stage 3", "192.0.2.7: ssh: OPEN SESAME",
                          "192.0.2.7: ssh: already open, time extended",
                          "let in again 1 until 14000 ms", "record anew 1 until 14000 ms"));
  let_in(1);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(13999);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(14000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: command timeout", "dismiss 1", "forget 1"));
}

TEST_F(OpeningsTest, ReknockIgnoreDoesNotAdmitForLonger) {
  const auto ssh = port_door("ssh", [](Terms& terms) { terms.reknock = Reknock::kIgnore; });
  knock(ssh);
  let_in(1);
  sync();
  time_is(4000);
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: Stage 3", "192.0.2.7: ssh: OPEN SESAME",
                                      "192.0.2.7: ssh: already open"));
}

// The state after a reload that gave the door other ports.
TEST_F(OpeningsTest, KnockForOtherPortsRenewsNothing) {
  const auto extend = [](Terms& terms) { terms.reknock = Reknock::kExtend; };
  knock(port_door("ssh", extend));
  let_in(1);
  sync();
  forget_what_happened();
  const auto other = port_door("ssh", [&](Terms& terms) {
    extend(terms);
    terms.admission->ports.push_back({80, Protocol::kTcp});
  });
  knock(other);
  EXPECT_THAT(happened(), testing::Contains("let in 2 until 10000 ms"));
  let_in(2);
  knock(door("ssh", extend));
  EXPECT_THAT(happened(), testing::Contains("record 3 until 10000 ms, then close 192.0.2.7"));
}

TEST_F(OpeningsTest, KnockerIsAdmittedAgain_WhenTheStartBeginsLate) {
  knock(door("ssh", [](Terms& terms) { terms.admission = kSsh; }));
  let_in(1);
  time_is(12000);  // the kernel has already ended the admission
  forget_what_happened();
  sync();
  EXPECT_THAT(happened(), ElementsAre("let in again 1 until 22000 ms",
                                      "record anew 1 until 22000 ms, then close 192.0.2.7",
                                      "run 1: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, KnockerIsDismissedInTime_WhileTheStartStillRuns) {
  knock(door("ssh", [](Terms& terms) {
    terms.admission = kSsh;
    terms.stop.clear();
  }));
  let_in(1);
  sync();
  forget_what_happened();
  time_is(10000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: command timeout", "dismiss 1"));
  EXPECT_EQ(openings_.open(), 1u);
  EXPECT_EQ(openings_.next_alarm(), std::nullopt);
  start_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
  EXPECT_EQ(openings_.open(), 0u);
  EXPECT_EQ(openings_.running(), 0u);
}

TEST_F(OpeningsTest, KnockerIsDismissedOnce_WhenTheStopRunsAgainAfterItsStart) {
  knock(door("ssh", [](Terms& terms) { terms.admission = kSsh; }));
  let_in(1);
  sync();
  forget_what_happened();
  time_is(10000);
  EXPECT_THAT(
      happened(),
      ElementsAre("192.0.2.7: ssh: command timeout", "dismiss 1",
                  "192.0.2.7: ssh: the start command is still running; running the stop command",
                  "run 1: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(1);
  start_ends(1);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: the start command has ended",
                                      "run 1: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
}

TEST_F(OpeningsTest, DoorWithPortsStaysOpenForItsTime_WhenItsStartCannotRun) {
  knock(door("ssh", [](Terms& terms) {
    terms.admission = kSsh;
    terms.stop.clear();
  }));
  let_in(1);
  sync();
  forget_what_happened();
  could_not_run(1, kStart, false);
  EXPECT_THAT(happened(), ElementsAre("ssh: command could not be started: Argument list too long"));
  EXPECT_EQ(openings_.open(), 1u);
  time_is(10000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: command timeout", "dismiss 1", "forget 1"));
}

TEST_F(OpeningsTest, KnocksForPortsBeyondMaxOpenAreRefused) {
  const auto ssh = port_door("ssh", [](Terms& terms) { terms.max_open = 1; });
  knock(ssh);
  let_in(1);
  forget_what_happened();
  knock(ssh, kBob);
  EXPECT_THAT(happened(), ElementsAre("ssh: 1 knock refused: 1 opening is open (Max_Open)"));
  sync();
  time_is(10000);
  forget_what_happened();
  knock(ssh, kBob);
  EXPECT_THAT(happened(), testing::Contains("let in 3 until 20000 ms"));
}

// --- Starts that hang

TEST_F(OpeningsTest, StopWaitsASecondForARunningStart_ThenOvertakes_AndRunsAgainAfterIt) {
  knock(door("ssh", [](Terms& terms) { terms.open_for = Duration::zero(); }));
  sync();
  forget_what_happened();
  time_is(999);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(1000);
  EXPECT_THAT(
      happened(),
      ElementsAre("192.0.2.7: ssh: the start command is still running; running the stop command",
                  "192.0.2.7: ssh: command timeout", "run 1: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(1);
  EXPECT_THAT(happened(), IsEmpty());
  start_ends(1);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: the start command has ended",
                                      "run 1: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
}

TEST_F(OpeningsTest, StopFollowsAtOnce_WhenTheStartEndsWithinItsSecond) {
  knock(door("ssh", [](Terms& terms) { terms.open_for = Duration::zero(); }));
  sync();
  time_is(300);
  forget_what_happened();
  start_ends(1);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
}

class OnePlace : public OpeningsTest {
 protected:
  OnePlace() : OpeningsTest({.own_places = 1, .shared_places = 0, .waiting_starts = 64}) {}
};

TEST_F(OnePlace, StopAfterAnOvertakenStartPrecedesAStartThatWaitsForAPlace) {
  const auto ssh = door("ssh");
  knock(ssh);
  sync();
  time_is(10000);
  stop_ends(1);
  knock(ssh, kBob);
  knock(ssh);
  sync();
  forget_what_happened();
  start_ends(1);
  EXPECT_THAT(commands(), testing::Contains("run 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, StopAfterAnOvertakenStartWaitsASecondForANewerStart) {
  const auto ssh = door("ssh");
  knock(ssh);
  sync();
  time_is(10000);
  stop_ends(1);
  knock(ssh);
  sync();
  start_ends(1);
  forget_what_happened();
  time_is(10999);
  EXPECT_THAT(commands(), IsEmpty());
  time_is(11000);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
}

// --- Commands that cannot be run

TEST_F(OpeningsTest, StartIsTriedAgainWithGrowingPauses_AndLoggedOnce) {
  knock(door("ssh"));
  sync();
  forget_what_happened();
  could_not_run(1, kStart, true);
  EXPECT_THAT(happened(), ElementsAre("ssh: command could not be started: Cannot allocate memory; "
                                      "trying again"));
  time_is(49);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(50);
  EXPECT_THAT(happened(), ElementsAre("run again 1: open 192.0.2.7 (ssh, eth0)"));
  could_not_run(1, kStart, true);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(149);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(150);
  EXPECT_THAT(commands(), ElementsAre("run again 1: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, StopIsTriedAgain) {
  knock(door("ssh"));
  sync();
  start_ends(1);
  time_is(10000);
  forget_what_happened();
  could_not_run(1, kStop, true);
  time_is(10050);
  EXPECT_THAT(commands(), ElementsAre("run again 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, StopIsTriedAgainAtOnce_WhenAnotherCommandHasEnded) {
  knock(door("ssh"));
  sync();
  start_ends(1);
  time_is(9000);
  knock(door("web"));
  sync();
  time_is(10000);
  could_not_run(1, kStop, true);
  knock(door("web"), kBob);
  sync();
  could_not_run(3, kStart, true);
  forget_what_happened();
  start_ends(2);
  EXPECT_THAT(happened(), ElementsAre("run again 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, RetriedStopKeepsItsPause_WhenItsOvertakenStartEnds) {
  knock(door("ssh"));
  sync();
  time_is(10000);
  could_not_run(1, kStop, true);
  forget_what_happened();
  start_ends(1);
  EXPECT_THAT(happened(), ElementsAre("run again 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, UnrunnableStartCountsAsEnded) {
  const auto ssh = door("ssh");
  knock(ssh);
  knock(ssh);
  sync();
  forget_what_happened();
  could_not_run(1, kStart, false);
  EXPECT_THAT(happened(), ElementsAre("ssh: command could not be started: Argument list too long",
                                      "run 2: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, UnrunnableStopIsForgotten) {
  knock(door("ssh"));
  sync();
  start_ends(1);
  time_is(10000);
  forget_what_happened();
  could_not_run(1, kStop, false);
  EXPECT_THAT(happened(),
              ElementsAre("ssh: command could not be started: Argument list too long", "forget 1"));
}

TEST_F(OpeningsTest, StopThatWaitedForAStartRunsAtOnce_WhenTheStartCouldNotRun) {
  const auto ssh = door("ssh");
  knock(ssh);
  sync();
  start_ends(1);
  time_is(9950);
  knock(ssh);
  sync();
  time_is(10000);
  forget_what_happened();
  could_not_run(2, kStart, true);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(1);
  time_is(10050);
  EXPECT_THAT(commands(), ElementsAre("run again 2: open 192.0.2.7 (ssh, eth0)"));
}

// --- Bounds

TEST_F(OpeningsTest, KnocksBeyondMaxOpenAreCountedOnceAMinute) {
  const auto ssh = door("ssh", [](Terms& terms) {
    terms.max_open = 1;
    terms.open_for = seconds(600);
  });
  knock(ssh);
  sync();
  forget_what_happened();
  for (int i = 0; i < 3; ++i) knock(ssh, kBob);
  EXPECT_THAT(happened(), ElementsAre("ssh: 1 knock refused: 1 opening is open (Max_Open)"));
  time_is(59'999);
  EXPECT_THAT(happened(), IsEmpty());
  time_is(60'000);
  EXPECT_THAT(happened(), ElementsAre("ssh: 2 knocks refused: 1 opening is open (Max_Open)"));
}

TEST_F(OpeningsTest, RenewalIsNeverRefused) {
  const auto ssh = door("ssh", [](Terms& terms) {
    terms.max_open = 1;
    terms.reknock = Reknock::kExtend;
  });
  knock(ssh);
  sync();
  time_is(1000);
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(), testing::Contains("192.0.2.7: ssh: already open, time extended"));
}

TEST_F(OpeningsTest, StartsBeyondTheQueueLimitAreRefused) {
  const auto ssh = door("ssh");
  for (int i = 0; i < 64; ++i) knock(ssh, neighbour(i).c_str());
  forget_what_happened();
  knock(ssh, kBob);
  EXPECT_THAT(happened(), ElementsAre("ssh: 1 knock refused: 64 commands wait"));
  knock(door("web"), kBob);
  EXPECT_THAT(happened(), testing::Contains("2001:db8::b: web: OPEN SESAME"));
}

TEST_F(OpeningsTest, StartsOfOneSourceLeavePlacesInTheQueueToOthers) {
  const auto ssh = door("ssh");
  for (int i = 0; i < 16; ++i) knock(ssh);
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(),
              ElementsAre("ssh: 1 knock refused: too many commands of one source wait"));
  knock(door("web"));
  EXPECT_THAT(happened(), testing::Contains("192.0.2.7: web: OPEN SESAME"));
  knock(ssh, kBob);
  EXPECT_THAT(happened(), testing::Contains("2001:db8::b: ssh: OPEN SESAME"));
}

TEST_F(OpeningsTest, EachSourceMayHaveAQuarterOfThePlacesThatOthersLeave_AtLeastOne) {
  const auto ssh = door("ssh");
  size_t before = 0;
  std::vector<size_t> waiting;
  for (int source = 0; before < 64; ++source) {
    for (int i = 0; i < 20; ++i) knock(ssh, neighbour(source).c_str());
    waiting.push_back(openings_.waiting() - before);
    before = openings_.waiting();
  }
  EXPECT_THAT(waiting, ElementsAre(16, 12, 9, 6, 5, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1));
}

TEST_F(OpeningsTest, APersonMayOpenForASourceOfWhichManyStartsWait) {
  const auto ssh = door("ssh");
  for (int i = 0; i < 20; ++i) knock(ssh);
  const CompleteKnock knock{ssh, *IpAddress::parse(kAlice), "eth0", 3};
  EXPECT_EQ(openings_.open_by_hand(knock, 0, now()).refused, "");
  EXPECT_EQ(openings_.waiting(), 17u);
}

TEST_F(OpeningsTest, SourceMayWaitAgain_WhenOneOfItsStartsHasBegun) {
  const auto ssh = door("ssh");
  for (int i = 0; i < 16; ++i) knock(ssh);
  sync();
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(), testing::Contains("192.0.2.7: ssh: OPEN SESAME"));
  knock(ssh);
  EXPECT_THAT(happened(),
              ElementsAre("ssh: 1 knock refused: too many commands of one source wait"));
}

TEST_F(OpeningsTest, SourceMayWaitAgain_WhenItsStartsWereDropped) {
  const auto ssh = door("ssh");
  for (int i = 0; i < 16; ++i) knock(ssh);
  openings_.close_by_hand({}, 0, now());
  forget_what_happened();
  for (int i = 0; i < 16; ++i) knock(ssh);
  EXPECT_THAT(happened(), testing::Not(testing::Contains(testing::HasSubstr("refused"))));
}

TEST_F(OpeningsTest, StartToBeTriedAgainCountsAsOneThatWaits) {
  const auto ssh = door("ssh");
  for (int i = 0; i < 16; ++i) knock(ssh);
  sync();
  could_not_run(1, kStart, true);
  forget_what_happened();
  knock(ssh);
  EXPECT_THAT(happened(),
              ElementsAre("ssh: 1 knock refused: too many commands of one source wait"));
}

TEST(OpeningsPlaces, FloodedDoorDelaysNoOtherDoor) {
  Openings openings(OpeningLimits{.own_places = 2, .shared_places = 1, .waiting_starts = 64});
  const auto run = [&](const char* name, uint8_t sources) {
    auto terms = std::make_shared<Terms>();
    terms->door = name;
    terms->start = "open";
    for (uint8_t i = 0; i < sources; ++i) {
      openings.knocked({terms, IpAddress::from_v4(std::array<uint8_t, 4>{192, 0, 2, i}), "", 1},
                       {});
    }
    openings.recorded({});
    return openings.running();
  };
  EXPECT_EQ(run("flooded", 50), 2u);
  EXPECT_EQ(run("other", 1), 3u);
  EXPECT_EQ(openings.waiting(), 48u);
}

// One forged source may have as many openings as a door allows, all due at once.
TEST_F(OpeningsTest, ThousandsOfOpeningsOfOneSourceDelayNoOther) {
  constexpr uint64_t kMany = 8000;
  const auto flooded = door("ssh", [](Terms& terms) {
    terms.start.clear();
    terms.max_open = kMany;
  });
  const auto begin = processor_time();
  for (uint64_t i = 0; i < kMany; ++i) knock(flooded);
  sync();
  time_is(10000);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
  for (uint64_t id = 1; id <= kMany; ++id) stop_ends(id);
  EXPECT_EQ(openings_.open(), 0u);
  // Quadratic work would take a minute and delay other sources at each knock.
  EXPECT_LT(processor_time() - begin, seconds(10));
}

TEST(OpeningsPlaces, HungCommandsAreLogged) {
  Openings openings(OpeningLimits{.own_places = 1, .shared_places = 0, .waiting_starts = 64});
  auto terms = std::make_shared<Terms>();
  terms->door = "ssh";
  terms->start = "sleep";
  openings.knocked({terms, *IpAddress::parse("192.0.2.1"), "", 1}, {});
  openings.knocked({terms, *IpAddress::parse("192.0.2.2"), "", 1}, {});
  openings.recorded({});
  openings.take_actions();
  ASSERT_EQ(openings.next_alarm(), Instant(seconds(10)));
  openings.time_passed(Instant(seconds(10)));
  const std::vector<Action> actions = openings.take_actions();
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(std::get<Say>(actions[0]).text,
            "ssh: command waits: 1 others are running, and none has ended for 10 s");
  EXPECT_EQ(openings.next_alarm(), std::nullopt);
}

// --- By hand

TEST_F(OpeningsTest, OpenByHandTakesTheSameSteps_ButUsesNoSequenceUp) {
  const auto terms = door("ssh", [](Terms& changed) {
    changed.cooldown = seconds(60);
    changed.one_time = true;
  });
  knock(terms, kBob);
  openings_.sequence_used(1, true, now());
  forget_what_happened();
  const auto by_hand = door("ssh");
  const Openings::ByHand opened =
      openings_.open_by_hand({by_hand, *IpAddress::parse(kAlice), "", 0, kNoDoor}, 1000, now());
  EXPECT_EQ(opened.id, 2u);
  EXPECT_TRUE(opened.is_new);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: opened by hand (uid 1000)",
                                      "record 2 until 10000 ms, then close 192.0.2.7"));
  sync();
  EXPECT_THAT(commands(),
              ElementsAre("run 1: open 2001:db8::b (ssh, eth0)", "run 2: open 192.0.2.7 (ssh, )"));
}

TEST_F(OpeningsTest, OpenByHandRenewsLikeAKnock) {
  const auto terms = door("ssh", [](Terms& changed) { changed.reknock = Reknock::kExtend; });
  knock(terms);
  sync();
  time_is(4000);
  forget_what_happened();
  const Openings::ByHand opened =
      openings_.open_by_hand({terms, *IpAddress::parse(kAlice), "", 0, kNoDoor}, 0, now());
  EXPECT_EQ(opened.id, 1u);
  EXPECT_FALSE(opened.is_new);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: opened by hand (uid 0)",
                                      "192.0.2.7: ssh: already open, time extended",
                                      "record anew 1 until 14000 ms, then close 192.0.2.7"));
}

TEST_F(OpeningsTest, OpenByHandReportsThatThereIsNoRoom) {
  const auto terms = door("ssh", [](Terms& changed) { changed.max_open = 1; });
  knock(terms, kBob);
  forget_what_happened();
  const Openings::ByHand opened =
      openings_.open_by_hand({terms, *IpAddress::parse(kAlice), "", 0, kNoDoor}, 0, now());
  EXPECT_EQ(opened.id, 0u);
  EXPECT_EQ(opened.refused, "1 opening is open (Max_Open)");
  EXPECT_THAT(happened(), IsEmpty()) << "it was no knock";
  EXPECT_THAT(told(), IsEmpty());
  openings_.shut_down(true, now());
  EXPECT_EQ(
      openings_.open_by_hand({terms, *IpAddress::parse(kBob), "", 0, kNoDoor}, 0, now()).refused,
      "closing, knockd is shutting down");
}

TEST_F(OpeningsTest, DoorWithoutEffectIsNotLoggedAsOpenedByHand) {
  const auto terms = door("log", [](Terms& changed) {
    changed.start.clear();
    changed.stop.clear();
  });
  const Openings::ByHand opened =
      openings_.open_by_hand({terms, *IpAddress::parse(kAlice), "", 0, kNoDoor}, 0, now());
  EXPECT_EQ(opened.id, 0u);
  EXPECT_THAT(happened(), IsEmpty());
}

TEST_F(OpeningsTest, CloseByHandEndsTheTime_RecordedBeforeAnythingIsUndone) {
  knock(door("ssh"));
  sync();
  start_ends(1);
  time_is(3000);
  forget_what_happened();
  EXPECT_THAT(openings_.close_by_hand({}, 1000, now()), ElementsAre(1));
  EXPECT_THAT(happened(), ElementsAre("record anew 1 until 3000 ms, then close 192.0.2.7"));
  openings_.time_passed(now());
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: ssh: closed by hand (uid 1000)",
                                      "run 1: close 192.0.2.7 (ssh, eth0)"));
  EXPECT_THAT(openings_.close_by_hand({}, 1000, now()), IsEmpty()) << "it is closing already";
  stop_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
}

TEST_F(OpeningsTest, ManyAreClosedInSeveralTurns_AndKnocksDoNotRenewThemMeanwhile) {
  const auto terms = door("ssh", [](Terms& changed) { changed.reknock = Reknock::kExtend; });
  for (const char* const source : {"192.0.2.1", "192.0.2.2", kAlice}) knock(terms, source);
  sync();
  for (const uint64_t id : {1u, 2u, 3u}) start_ends(id);
  EXPECT_THAT(openings_.close_by_hand({}, 0, now()), ElementsAre(1, 2, 3));
  forget_what_happened();
  openings_.time_passed(now(), 2);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.1 (ssh, eth0)",
                                      "run 2: close 192.0.2.2 (ssh, eth0)"));
  EXPECT_EQ(openings_.next_alarm(), now());
  EXPECT_THAT(openings_.close_by_hand({}, 0, now()), IsEmpty()) << "it is closing already";
  knock(terms);  // a new one
  sync();
  openings_.time_passed(now(), 2);
  EXPECT_THAT(commands(), ElementsAre("run 3: close 192.0.2.7 (ssh, eth0)"));
  stop_ends(3);
  EXPECT_THAT(commands(), ElementsAre("run 4: open 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, CloseByHandDropsWaitingStarts_AndTheNextRuns) {
  const auto terms = door("ssh");
  knock(terms);
  sync();  // runs
  knock(terms);
  knock(door("log", [](Terms& changed) { changed.stop.clear(); }));
  knock(terms);
  sync();
  forget_what_happened();
  EXPECT_THAT(openings_.close_by_hand({"ssh", {}}, 0, now()), ElementsAre(1, 2, 4));
  EXPECT_THAT(happened(), ElementsAre("record anew 1 until 0 ms, then close 192.0.2.7",
                                      "192.0.2.7: ssh: closed by hand (uid 0)", "forget 2",
                                      "192.0.2.7: ssh: closed by hand (uid 0)", "forget 4"));
  openings_.time_passed(now());
  time_is(1000);
  EXPECT_THAT(commands(), ElementsAre("run 1: close 192.0.2.7 (ssh, eth0)"));
}

TEST_F(OpeningsTest, SelectionNamesADoorAnAddressBothOrAll) {
  const auto ssh = port_door("ssh");
  const auto web = port_door("web", [](Terms& changed) { changed.admission->prefix = 96 + 24; });
  const auto close = [this](const Selection& selection) {
    return openings_.close_by_hand(selection, 0, now());
  };
  const std::vector<std::pair<std::shared_ptr<const Terms>, const char*>> knocks = {
      {ssh, "192.0.2.7"}, {ssh, "192.0.2.8"}, {web, "192.0.2.7"}, {web, "198.51.100.1"}};
  for (const auto& [terms, source] : knocks) {
    knock(terms, source);
    let_in(++last_);
  }
  sync();
  EXPECT_THAT(close({"ssh", IpAddress::parse("198.51.100.1")}), IsEmpty());
  EXPECT_THAT(close({"web", IpAddress::parse("198.51.100.9")}), ElementsAre(4))
      << "an address within the network that is let in";
  EXPECT_THAT(close({{}, IpAddress::parse("192.0.2.8")}), ElementsAre(2, 3));
  openings_.time_passed(now());
  EXPECT_THAT(close({"door", {}}), IsEmpty());
  EXPECT_THAT(close({}), ElementsAre(1));
}

// --- What those are told who follow

TEST_F(OpeningsTest, EachOpeningIsReportedOnce_WithItsRenewalsAndItsEnd) {
  const auto terms = door("ssh", [](Terms& changed) { changed.reknock = Reknock::kExtend; });
  knock(terms);
  time_is(100);
  knock(terms);
  happened();
  EXPECT_THAT(told(), IsEmpty()) << "it is not recorded yet";
  sync();
  start_ends(1);
  happened();
  EXPECT_THAT(told(), ElementsAre("opened ssh 1 until 10100 ms"));
  time_is(4000);
  knock(terms);
  happened();
  EXPECT_THAT(told(), ElementsAre("renewed ssh 1 until 14000 ms"));
  time_is(14000);
  happened();
  EXPECT_THAT(told(), IsEmpty()) << "its stop command runs";
  stop_ends(1);
  happened();
  EXPECT_THAT(told(), ElementsAre("closed ssh 1: command timeout"));
}

TEST_F(OpeningsTest, ShutdownReportsClosings_EvenOfWaitingStarts) {
  const auto terms = door("ssh");
  knock(terms);
  sync();
  knock(terms);
  sync();
  happened();
  told();
  openings_.shut_down(true, now());
  start_ends(1);
  stop_ends(1);
  happened();
  EXPECT_THAT(told(), ElementsAre("closed ssh 2: closing, knockd is shutting down",
                                  "closed ssh 1: closing, knockd is shutting down"));
}

TEST_F(OpeningsTest, RefusalIsReported) {
  const auto terms = door("ssh", [](Terms& changed) { changed.max_open = 1; });
  knock(terms, kBob);
  knock(terms);
  happened();
  EXPECT_THAT(told(),
              ElementsAre("refused ssh to 192.0.2.7 at eth0: 1 opening is open (Max_Open)"));
}

TEST_F(OpeningsTest, ClosingOfARestoredOpeningIsReported) {
  openings_.take_up({recorded_door(7, "ssh", 5000)}, now());
  happened();
  EXPECT_THAT(told(), IsEmpty());
  time_is(5000);
  stop_ends(7);
  happened();
  EXPECT_THAT(told(), ElementsAre("closed ssh 7: command timeout"));
}

TEST_F(OpeningsTest, TimeOfOpeningIsKnown_ExceptFromAnEarlierRun) {
  openings_.take_up({recorded_door(7, "ssh", 5000)}, now());
  time_is(1000);
  knock(door("web"));
  sync();
  std::vector<std::optional<Instant>> since;
  openings_.for_each_since(
      [&](const OpenDoor&, std::optional<Instant> when) { since.push_back(when); });
  EXPECT_THAT(since, ElementsAre(std::nullopt, std::optional(Instant(seconds(1)))));
}

// --- Commands of nobody's knock

TEST_F(OpeningsTest, CommandWithoutAKnockRunsAtOnce_EvenInAShutdown) {
  openings_.run("on_start", "echo %IP%", now());
  EXPECT_THAT(happened(), ElementsAre("run 1: echo %IP% (on_start, )"));
  start_ends(1);
  openings_.shut_down(true, now());
  openings_.run("on_stop", "echo", now());
  EXPECT_THAT(happened(), ElementsAre("run 2: echo (on_stop, )"));
  start_ends(2);
  EXPECT_EQ(openings_.running(), 0u);
  EXPECT_EQ(openings_.next_alarm(), std::nullopt);
}

TEST_F(OpeningsTest, CommandWithoutAKnockIsRetriedInAShutdown) {
  openings_.shut_down(true, now());
  openings_.run("on_stop", "echo", now());
  could_not_run(1, kStart, true);
  forget_what_happened();
  time_is(50);
  EXPECT_THAT(happened(), ElementsAre("run again 1: echo (on_stop, )"));
}

// --- The end, and the beginning after it

TEST_F(OpeningsTest, ShutdownClosesWhatIsOpen_AndDropsStartsThatHaveNotBegun) {
  const auto ssh = door("ssh");
  knock(ssh);
  sync();
  start_ends(1);
  knock(ssh, kBob);
  forget_what_happened();
  openings_.shut_down(true, now());
  EXPECT_THAT(happened(),
              ElementsAre("forget 2", "192.0.2.7: ssh: closing, knockd is shutting down",
                          "run 1: close 192.0.2.7 (ssh, eth0)"));
  sync();
  knock(ssh, kBob);
  EXPECT_THAT(happened(), IsEmpty());
}

TEST_F(OpeningsTest, ShutdownKeep_RunsNothing) {
  const auto ssh = door("ssh");
  knock(ssh);
  sync();
  start_ends(1);
  knock(ssh, kBob);
  forget_what_happened();
  openings_.shut_down(false, now());
  EXPECT_THAT(happened(), ElementsAre("forget 2"));
  EXPECT_EQ(openings_.open(), 1u);
}

TEST_F(OpeningsTest, ShutdownDismisses_EvenWhenTheStartIsDropped) {
  const auto ssh = door("ssh", [](Terms& terms) { terms.admission = kSsh; });
  knock(port_door("web"));
  let_in(1);
  sync();
  knock(ssh);
  let_in(2);
  forget_what_happened();
  openings_.shut_down(true, now());
  EXPECT_THAT(happened(), ElementsAre("dismiss 2", "forget 2",
                                      "192.0.2.7: web: closing, knockd is shutting down",
                                      "dismiss 1", "forget 1"));
  EXPECT_EQ(openings_.open(), 0u);
  EXPECT_EQ(openings_.waiting(), 0u);
}

TEST_F(OpeningsTest, ShutdownInSteps_DropsWaitingStartsAtOnce) {
  for (const char* name : {"first", "second"}) {
    knock(port_door(name));
    let_in(openings_.open() + 1);
    sync();
  }
  knock(port_door("third"));
  let_in(3);
  forget_what_happened();
  EXPECT_TRUE(openings_.shut_down(true, now(), 1));
  EXPECT_THAT(happened(), ElementsAre("dismiss 3", "forget 3",
                                      "192.0.2.7: first: closing, knockd is shutting down",
                                      "dismiss 1", "forget 1"));
  forget_what_happened();
  EXPECT_FALSE(openings_.shut_down(true, now(), 1));
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: second: closing, knockd is shutting down",
                                      "dismiss 2", "forget 2"));
}

TEST_F(OpeningsTest, ShutdownDismisses_WhileTheStartStillRuns) {
  knock(door("ssh", [](Terms& terms) {
    terms.admission = kSsh;
    terms.stop.clear();
  }));
  let_in(1);
  sync();
  forget_what_happened();
  openings_.shut_down(true, now());
  EXPECT_THAT(happened(),
              ElementsAre("192.0.2.7: ssh: closing, knockd is shutting down", "dismiss 1"));
  start_ends(1);
  EXPECT_THAT(happened(), ElementsAre("forget 1"));
}

TEST_F(OpeningsTest, ShutdownKeep_DismissesNoAdmittedKnocker) {
  knock(port_door("ssh"));
  let_in(1);
  sync();
  forget_what_happened();
  openings_.shut_down(false, now());
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(openings_.open(), 1u);
}

// The answer may arrive late.
TEST_F(OpeningsTest, KnockerBeingAdmittedAtAShutdownIsDismissed) {
  knock(port_door("ssh"));
  forget_what_happened();
  openings_.shut_down(false, now());
  EXPECT_THAT(happened(), ElementsAre("dismiss 1"));
  let_in(1);
  sync();
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_EQ(openings_.waiting(), 0u);
}

TEST_F(OpeningsTest, StartThatCouldNotBeRunIsNotTriedAgainInAShutdown) {
  knock(door("ssh"));
  sync();
  openings_.shut_down(true, now());
  forget_what_happened();
  could_not_run(1, kStart, true);
  EXPECT_THAT(happened(), ElementsAre("ssh: command could not be started: Cannot allocate memory; "
                                      "trying again",
                                      "forget 1"));
  EXPECT_EQ(openings_.next_alarm(), std::nullopt);
}

TEST_F(OpeningsTest, OverdueOpeningIsClosedAtOnce_WhenRestored) {
  time_is(5000);
  openings_.take_up({recorded_door(3, "ssh", 4000), recorded_door(8, "web", 9000)}, now());
  EXPECT_THAT(happened(),
              ElementsAre("192.0.2.7: ssh: command timeout", "run 3: close 192.0.2.7 (ssh, eth0)"));
  time_is(9000);
  EXPECT_THAT(commands(), ElementsAre("run 8: close 192.0.2.7 (web, eth0)"));
  stop_ends(3);
  stop_ends(8);
  EXPECT_THAT(happened(), ElementsAre("forget 3", "forget 8"));
}

TEST_F(OpeningsTest, RestoredKnockerIsAdmittedAgain_OverdueOneIsDismissed) {
  time_is(5000);
  OpenDoor both = recorded_door(4, "both", 9000);
  both.admission = kSsh;
  openings_.take_up({recorded_port_door(3, "late", 5000), both, recorded_port_door(8, "ssh", 9500)},
                    now());
  EXPECT_THAT(happened(),
              ElementsAre("let in again 4 until 9000 ms", "let in again 8 until 9500 ms",
                          "192.0.2.7: late: command timeout", "dismiss 3", "forget 3"));
  let_in(4);
  let_in(8);
  EXPECT_EQ(openings_.open(), 2u);
  EXPECT_EQ(openings_.waiting(), 0u);
  time_is(9000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: both: command timeout", "dismiss 4",
                                      "run 4: close 192.0.2.7 (both, eth0)"));
  stop_ends(4);
  time_is(9500);
  EXPECT_THAT(happened(),
              ElementsAre("forget 4", "192.0.2.7: ssh: command timeout", "dismiss 8", "forget 8"));
}

// It is still recorded, and its stop command must run.
TEST_F(OpeningsTest, RestoredKnockerThatCannotBeAdmittedIsStillClosedInTime) {
  OpenDoor both = recorded_door(4, "both", 9000);
  both.admission = kSsh;
  openings_.take_up({both}, now());
  openings_.admitted(4, false);
  forget_what_happened();
  time_is(9000);
  EXPECT_THAT(happened(), ElementsAre("192.0.2.7: both: command timeout", "dismiss 4",
                                      "run 4: close 192.0.2.7 (both, eth0)"));
}

TEST_F(OpeningsTest, KnockRenewsRestoredPorts) {
  openings_.take_up({recorded_port_door(3, "ssh", 4000)}, now());
  forget_what_happened();
  knock(port_door("ssh", [](Terms& terms) { terms.reknock = Reknock::kExtend; }));
  EXPECT_THAT(happened(), testing::IsSupersetOf(
                              {"let in again 3 until 10000 ms", "record anew 3 until 10000 ms"}));
}

TEST_F(OpeningsTest, OpeningsKeepTheirNumbers_RestoredInAnyOrder) {
  openings_.take_up({recorded_door(8, "web", 9000), recorded_door(3, "ssh", 9000)}, now());
  knock(door("new"));
  EXPECT_THAT(happened(), testing::Contains("record 9 until 10000 ms, then close 192.0.2.7"));
  std::vector<uint64_t> ids;
  openings_.for_each_open([&](const OpenDoor& open) { ids.push_back(open.id); });
  EXPECT_THAT(ids, ElementsAre(3, 8, 9));
}

TEST_F(OpeningsTest, KnockExtendsARestoredOpening) {
  openings_.take_up({recorded_door(3, "ssh", 4000)}, now());
  knock(door("ssh", [](Terms& terms) { terms.reknock = Reknock::kExtend; }));
  EXPECT_THAT(happened(), testing::Contains("record anew 3 until 10000 ms, then close 192.0.2.7"));
}

}  // namespace
}  // namespace knockd
