// SPDX-License-Identifier: MIT
// The single rules; ledger_history_test.cpp tests them in combination.
#include "knockd/fleet/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knockd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const WallTime kEpoch = seconds(1766000000);
const DoorAddress kPlace{"ssh", *IpAddress::parse("192.0.2.7")};

std::string seconds_of(Instant end, Instant now) {
  return std::to_string(std::chrono::round<seconds>(end - now).count());
}

// A gateway called "us"; its actions are text.
class LedgerTest : public ::testing::Test {
 protected:
  struct Telling {
    const LedgerTest& test;
    std::string operator()(const Publish& one) const {
      return "publish " + to_text("f", one.topic).substr(sizeof("knockd/f/us/") - 1) + ' ' +
             one.payload + (one.expiry == 0 ? "" : " for " + std::to_string(one.expiry));
    }
    std::string operator()(const FleetOpen& one) const {
      return "open " + one.place.door + " for " + seconds_of(one.end, test.now_) + " by " +
             one.gateway + (one.user.empty() ? "" : " user " + one.user);
    }
    std::string operator()(const FleetClose& one) const {
      return "close " + one.place.door + " by " + one.gateway;
    }
    std::string operator()(const FleetUsed& one) const {
      return "used " + std::to_string(one.code.step) + " at " + one.gateway;
    }
    std::string operator()(const FleetShare& one) const { return one.share ? "share" : "alone"; }
    std::string operator()(const FleetShared& one) const {
      return "shared " + std::to_string(one.id);
    }
    std::string operator()(const Say& one) const { return "say " + one.text; }
  };

  std::vector<std::string> done() {
    std::vector<std::string> words;
    for (const FleetAction& action : ledger_.take_actions()) {
      words.push_back(std::visit(Telling{*this}, action));
    }
    return words;
  }

  Clocks now() const { return {now_, kEpoch + now_.time_since_epoch()}; }
  WallTime in(Duration time) const { return now().wall + time; }
  void pass(Duration time) {
    now_ += time;
    ledger_.time_passed(now());
  }

  void start_daemon(std::vector<LocalOpening> openings = {}) {
    ledger_.daemon_is({{{"ssh", {seconds(600), true}}}, std::move(openings)}, now());
  }
  void connect() {
    ledger_.broker_connected();
    ledger_.broker_synced(now());
  }
  void start_all() {
    start_daemon();
    connect();
    done();
  }

  void hear(Topic::Kind kind, const std::string& gateway, const std::string& payload,
            std::optional<Duration> expiry = seconds(1000)) {
    ledger_.received({kind, gateway, kPlace}, payload, expiry, now());
  }
  void hear_open(const std::string& gateway, Duration left, uint64_t id = 1,
                 std::optional<Duration> expiry = seconds(1000)) {
    hear(Topic::Kind::kOpen, gateway, to_json(OpenMessage{in(left), id, ""}), expiry);
  }
  void hear_close(const std::string& gateway, std::vector<std::pair<std::string, uint64_t>> ids) {
    hear(Topic::Kind::kClose, gateway, to_json(CloseMessage{std::move(ids), in(seconds(600))}));
  }
  void open_here(uint64_t id, Duration left, bool by_fleet = false) {
    ledger_.opened({id, kPlace, in(left), "", by_fleet}, now());
  }

  Instant now_{seconds(0)};
  Ledger ledger_{"us", {"ssh"}};
};

TEST_F(LedgerTest, PublishesALocalKnock) {
  start_all();
  open_here(3, seconds(60));
  EXPECT_THAT(done(), ElementsAre("publish open/ssh/192.0.2.7 "
                                  R"({"until":1766000060.000,"id":1766000000000})"
                                  " for 60"));
  pass(seconds(60));
  ledger_.closed(kPlace, 3, ClosedBy::kTime, now());
  EXPECT_THAT(done(), IsEmpty());
}

TEST_F(LedgerTest, OpensForAKnockElsewhereAndForwardsNothing) {
  start_all();
  hear_open("gw2", seconds(60));
  EXPECT_THAT(done(), ElementsAre("open ssh for 60 by gw2"));
  open_here(3, seconds(60), true);
  hear_open("gw2", seconds(60));
  EXPECT_THAT(done(), IsEmpty());
}

TEST_F(LedgerTest, OpensForTheShortestOfTimeExpiryAndItsOwnCmdTimeout) {
  start_all();
  hear_open("gw2", seconds(60), 1, seconds(20));
  // The broker rounds down.
  EXPECT_THAT(done(), ElementsAre("open ssh for 21 by gw2"));
  hear_open("gw2", seconds(50000), 2, seconds(60000));
  EXPECT_THAT(done(), ElementsAre("open ssh for 600 by gw2"));
  // The same message again, after a reconnect, does not restart the time.
  pass(seconds(500));
  hear_open("gw2", seconds(49500), 2, seconds(59500));
  EXPECT_THAT(done(), IsEmpty());
  // Regardless of the clock.
  hear_open("gw3", std::chrono::hours(24 * 365 * 100), 1, std::nullopt);
  EXPECT_THAT(done(), ElementsAre("open ssh for 600 by gw3"));
}

TEST_F(LedgerTest, OpensNothingAfterItsEnd) {
  start_all();
  hear_open("gw2", -seconds(1));
  hear_open("gw2", seconds(60), 1, seconds(0));
  EXPECT_THAT(done(), IsEmpty());
  EXPECT_EQ(ledger_.messages_kept(), 0);
}

TEST_F(LedgerTest, OtherDoorsAreNotShared) {
  start_all();
  ledger_.received({Topic::Kind::kOpen, "gw2", {"other", kPlace.address}},
                   to_json(OpenMessage{in(seconds(60)), 1, ""}), seconds(60), now());
  ledger_.opened({3, {"other", kPlace.address}, in(seconds(60)), "", false}, now());
  EXPECT_THAT(done(), IsEmpty());
}

TEST_F(LedgerTest, ClosedByHandHereIsClosedEverywhere) {
  start_all();
  hear_open("gw2", seconds(300), 7);
  open_here(3, seconds(300), true);
  open_here(3, seconds(301));  // knocked here as well
  done();
  ledger_.closed(kPlace, 3, ClosedBy::kHand, now());
  EXPECT_THAT(done(),
              ElementsAre("publish open/ssh/192.0.2.7 ", "close ssh by us",
                          "publish close/ssh/192.0.2.7 "
                          R"({"ids":[["gw2",7],["us",1766000000001]],"until":1766000301.000})"
                          " for 301"));
  hear_open("gw2", seconds(300), 7);
  EXPECT_THAT(done(), IsEmpty());
  hear_open("gw2", seconds(300), 8);
  EXPECT_THAT(done(), ElementsAre("open ssh for 300 by gw2"));
}

TEST_F(LedgerTest, ClosedByHandElsewhereIsClosedHere) {
  start_all();
  hear_open("gw2", seconds(300), 7);
  open_here(3, seconds(300), true);
  done();
  hear_close("gw3", {{"gw2", 7}});
  EXPECT_THAT(done(), ElementsAre("close ssh by gw3"));
  // Those that come late, too.
  hear_open("gw2", seconds(300), 6);
  EXPECT_THAT(done(), IsEmpty());
}

TEST_F(LedgerTest, AnotherOpeningKeepsTheDoorOpenToItsOwnEnd) {
  start_all();
  hear_open("gw2", seconds(300), 7);
  hear_open("gw4", seconds(100), 1);
  open_here(3, seconds(300), true);
  done();
  hear_close("gw3", {{"gw2", 7}});
  EXPECT_THAT(done(), IsEmpty());
  pass(seconds(99));
  EXPECT_THAT(done(), IsEmpty());
  pass(seconds(1));
  EXPECT_THAT(done(), ElementsAre("close ssh by gw3"));
}

// After its extension is closed, it stays open only for the time of the local knock.
TEST_F(LedgerTest, OpeningExtendedByTheFleetEndsAtItsOwnTime) {
  start_all();
  open_here(3, seconds(100));
  hear_open("gw2", seconds(300), 7);
  open_here(3, seconds(300), true);
  done();
  hear_close("gw2", {{"gw2", 7}});
  pass(seconds(99));
  EXPECT_THAT(done(), IsEmpty());
  pass(seconds(1));
  EXPECT_THAT(done(), ElementsAre("close ssh by gw2"));
}

TEST_F(LedgerTest, RestartedDaemonReceivesWhatIsDue) {
  start_all();
  hear_open("gw2", seconds(300), 7);
  done();
  ledger_.daemon_lost();
  pass(seconds(100));
  start_daemon();
  EXPECT_THAT(done(), ElementsAre("open ssh for 200 by gw2"));
}

TEST_F(LedgerTest, RestartedBrokerReceivesLocalOpenings) {
  start_all();
  open_here(3, seconds(60));
  done();
  ledger_.broker_lost();
  EXPECT_THAT(done(), ElementsAre("alone"));
  connect();
  EXPECT_THAT(done(), ElementsAre("share",
                                  "publish open/ssh/192.0.2.7 "
                                  R"({"until":1766000060.000,"id":1766000000000})"
                                  " for 60"));
  // Messages that it has kept are not sent again.
  ledger_.broker_lost();
  ledger_.broker_connected();
  hear(Topic::Kind::kOpen, "us", R"({"until":1766000060.000,"id":1766000000000})");
  ledger_.broker_synced(now());
  EXPECT_THAT(done(), ElementsAre("alone", "share"));
}

TEST_F(LedgerTest, OwnMessagesOfAnEarlierRunAreAdoptedOrWithdrawn) {
  start_daemon();
  ledger_.broker_connected();
  done();
  hear(Topic::Kind::kOpen, "us", R"({"until":1765999999.000,"id":5})");
  ledger_.broker_synced(now());
  EXPECT_THAT(done(), ElementsAre("publish open/ssh/192.0.2.7 "));
  ledger_.broker_lost();
  ledger_.broker_connected();
  done();
  hear(Topic::Kind::kOpen, "us", R"({"until":1766000060.000,"id":6})");
  ledger_.broker_synced(now());
  EXPECT_THAT(done(), ElementsAre("open ssh for 60 by us"));
}

TEST_F(LedgerTest, CodeIsSharedOnceTheBrokerHasIt) {
  start_all();
  const UsedCode used{9, "0123456789012345", {step_at(1766000000), kPlace.address}};
  ledger_.code_used(used, now());
  EXPECT_THAT(done(), ElementsAre("publish code/0123456789012345/4 "
                                  R"({"step":58866666,"address":"192.0.2.7"})"
                                  " for 120"));
  ledger_.code_published(9);
  ledger_.code_published(9);
  EXPECT_THAT(done(), ElementsAre("shared 9"));
  // Nothing waits for a disconnected broker.
  ledger_.code_used({10, used.secret, used.code}, now());
  done();
  ledger_.broker_lost();
  EXPECT_THAT(done(), ElementsAre("alone", "shared 10"));
  ledger_.code_used({11, used.secret, used.code}, now());
  EXPECT_THAT(done(), ElementsAre("shared 11"));
}

TEST_F(LedgerTest, CodeFromTheFutureIsIgnored) {
  start_all();
  const auto hear_code = [&](Step step) {
    Topic topic{Topic::Kind::kCode, "gw2"};
    topic.secret = "0123456789012345";
    topic.is_v4 = true;
    ledger_.received(topic, to_json(CodeMessage{step, kPlace.address}), seconds(60), now());
  };
  const Step step = step_at(1766000000);
  hear_code(step + 2);
  EXPECT_THAT(done(), ElementsAre("used " + std::to_string(step + 2) + " at gw2"));
  hear_code(step + 3);
  EXPECT_THAT(done(), ElementsAre("say 1 message of the fleet refused, the last: gw2 sent a code "
                                  "of a time to come"));
  hear_code(step + 2);  // known
  EXPECT_THAT(done(), IsEmpty());
  // A restarted daemon receives it again.
  start_daemon();
  EXPECT_THAT(done(), ElementsAre("used " + std::to_string(step + 2) + " at gw2"));
}

TEST_F(LedgerTest, GarbageIsOneLineAMinute) {
  start_all();
  for (int i = 0; i < 10000; ++i) hear(Topic::Kind::kOpen, "gw2", "{\"until\":1e5}");
  EXPECT_THAT(done(), ElementsAre("say 1 message of the fleet refused, the last: gw2 sent a "
                                  "message that is none"));
  pass(seconds(60));
  ledger_.received_garbage("knockd/f/\n", now());
  EXPECT_THAT(done(), ElementsAre("say 10000 messages of the fleet refused, the last: topic "
                                  "\"knockd/f/\\x0a\" is none of ours"));
  EXPECT_EQ(ledger_.messages_kept(), 0);
}

TEST_F(LedgerTest, KeepsALimitedNumberOfMessages) {
  start_all();
  std::array<uint8_t, 4> bytes{10, 0, 0, 0};
  const auto flood = [&](const std::string& gateway) {
    for (int i = 0; i < 10000; ++i) {
      bytes[2] = static_cast<uint8_t>(i >> 8);
      bytes[3] = static_cast<uint8_t>(i);
      ledger_.received({Topic::Kind::kOpen, gateway, {"ssh", IpAddress::from_v4(bytes)}},
                       to_json(OpenMessage{in(seconds(60)), 1, ""}), seconds(60), now());
    }
  };
  flood("gw2");
  EXPECT_EQ(ledger_.messages_kept(), SenderQuota::kMostOfGateway);
  for (int i = 3; i < 10; ++i) flood("gw" + std::to_string(i));
  EXPECT_EQ(ledger_.messages_kept(), SenderQuota::kMost);
  done();
  pass(seconds(60));
  EXPECT_EQ(ledger_.messages_kept(), 0);
  EXPECT_FALSE(ledger_.alarm().has_value());
}

// The JSON parser refuses numbers above 2^53.
TEST_F(LedgerTest, OthersCannotUseUpOurIds) {
  start_all();
  for (const uint64_t id : {(uint64_t{1} << 53) - (uint64_t{1} << 50), uint64_t{1} << 53}) {
    hear_close("gw2", {{"us", id}});
  }
  done();
  for (int i = 1; i < 100; ++i) open_here(3, seconds(60 + i));
  const auto actions = ledger_.take_actions();
  ASSERT_EQ(actions.size(), 99);
  for (const FleetAction& action : actions) {
    EXPECT_TRUE(parse_open_message(std::get<Publish>(action).payload));
  }
}

TEST_F(LedgerTest, KeepsNoMoreClosesOfOurOwnName) {
  start_daemon();
  ledger_.broker_connected();
  for (int i = 0; i < 100; ++i) {
    std::vector<std::pair<std::string, uint64_t>> ids;
    for (int n = 0; n < 128; ++n) ids.emplace_back("gw" + std::to_string(i * 128 + n), 1);
    hear_close("us", std::move(ids));
  }
  EXPECT_EQ(ledger_.messages_kept(), SenderQuota::kMostOfGateway);
}

TEST_F(LedgerTest, CloseThatTheDaemonDoesNotReportIsForgotten) {
  start_all();
  hear_open("gw2", seconds(300), 7);
  open_here(3, seconds(300), true);
  ledger_.received({Topic::Kind::kClose, "gw3", kPlace},
                   to_json(CloseMessage{{{"gw2", 7}}, in(seconds(100))}), seconds(1000), now());
  ledger_.closed(kPlace, 3, ClosedBy::kHand, now());  // at the same moment
  EXPECT_EQ(ledger_.places_kept(), 1);
  pass(seconds(300));
  EXPECT_EQ(ledger_.places_kept(), 0);
  EXPECT_FALSE(ledger_.alarm().has_value());
}

TEST_F(LedgerTest, CloseThatTheDaemonMissedIsSentAgain) {
  start_all();
  hear_open("gw2", seconds(300), 7);
  open_here(3, seconds(300), true);
  done();
  ledger_.received({Topic::Kind::kClose, "gw3", kPlace},
                   to_json(CloseMessage{{{"gw2", 7}}, in(seconds(50))}), seconds(1000), now());
  EXPECT_THAT(done(), ElementsAre("close ssh by gw3"));
  pass(seconds(60));
  ledger_.daemon_lost();
  start_daemon({{3, kPlace, in(seconds(240)), "", true}});
  EXPECT_THAT(done(), ElementsAre("close ssh by gw3"));
}

TEST_F(LedgerTest, RemovedDoorIsStillClosed) {
  start_all();
  hear_open("gw2", seconds(300), 7);
  ledger_.daemon_is({{}, {{3, kPlace, in(seconds(300)), "", true}}}, now());
  done();
  hear_open("gw4", seconds(500), 1);
  EXPECT_THAT(done(), IsEmpty());
  hear_close("gw3", {{"gw2", 7}, {"gw4", 1}});
  EXPECT_THAT(done(), ElementsAre("close ssh by gw3"));
}

TEST_F(LedgerTest, OwnRetainedMessagesOpenNoLongerThanCmdTimeout) {
  start_daemon();
  ledger_.broker_connected();
  done();
  hear(Topic::Kind::kOpen, "us", R"({"until":1767000000.000,"id":6})");
  ledger_.broker_synced(now());
  EXPECT_THAT(done(), ElementsAre("open ssh for 600 by us"));
  open_here(3, seconds(600), true);
  pass(seconds(600));
  ledger_.closed(kPlace, 3, ClosedBy::kTime, now());
  start_daemon();  // as after a reload
  EXPECT_THAT(done(), IsEmpty());
}

TEST_F(LedgerTest, MissingDoorIsReportedOnce) {
  ledger_.daemon_is({}, now());
  ledger_.daemon_is({}, now());
  EXPECT_THAT(done(),
              ElementsAre("say ssh is no door of the daemon here: it is not shared (Doors)"));
}

}  // namespace
}  // namespace knockd
