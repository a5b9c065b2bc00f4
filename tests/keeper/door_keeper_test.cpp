// SPDX-License-Identifier: MIT
// How the keeper executes the openings' actions, and their order on disk, in the log and as
// processes. tests/knock/openings_test.cpp tests an opening itself.
#include "knockd/keeper/door_keeper.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "knockd/base/text.h"
#include "tests/keeper/door_keeper_fixture.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using DoorKeeperTest = DoorKeeperFixture;

TEST_F(DoorKeeperTest, RecordsAndSyncs_ThenStarts) {
  take_journal();
  knock(ssh());
  EXPECT_THAT(take_journal(), IsEmpty()) << "before the turn ends";
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("write", "sync", "run open 192.0.2.7"));
  EXPECT_THAT(read_file(state_file_), HasSubstr("192.0.2.7"));
}

TEST_F(DoorKeeperTest, OneSyncForAllKnocksOfATurn) {
  take_journal();
  knock(ssh(), "192.0.2.7");
  knock(ssh(), "192.0.2.8");
  turn();
  EXPECT_THAT(take_journal(),
              ElementsAre("write", "sync", "run open 192.0.2.7", "run open 192.0.2.8"));
}

TEST_F(DoorKeeperTest, WithoutAStopCommandNothingIsRecorded) {
  take_journal();
  Terms plain = ssh();
  plain.stop.clear();
  knock(plain);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("run open 192.0.2.7"));
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, LogsKnockAndCommands_NamesTheSource) {
  knock(ssh());
  turn();
  end("open 192.0.2.7");
  pass(10s);
  end("close 192.0.2.7");
  EXPECT_THAT(log_.take(), ElementsAre("<192.0.2.7>: ssh: Stage 3", "<192.0.2.7>: ssh: OPEN SESAME",
                                       "ssh: running command: open 192.0.2.7",
                                       "<192.0.2.7>: ssh: command timeout",
                                       "ssh: running command: close 192.0.2.7"));
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, OnlyStagesAreRateLimited) {
  may_log_ = false;
  knock(ssh());
  turn();
  EXPECT_THAT(log_.take(),
              ElementsAre("<192.0.2.7>: ssh: OPEN SESAME", "ssh: running command: open 192.0.2.7"));
}

TEST_F(DoorKeeperTest, CommandsKnowSourceInterfaceAndReason) {
  knock(ssh());
  turn();
  EXPECT_THAT(
      runner_.last_environment,
      ElementsAre(std::pair("KNOCKD_IP", "192.0.2.7"), std::pair("KNOCKD_DOOR", "ssh"),
                  std::pair("KNOCKD_INTERFACE", "eth0"), std::pair("KNOCKD_EVENT", "start")));
  end("open 192.0.2.7");
  pass(10s);
  EXPECT_THAT(runner_.last_environment, Contains(std::pair("KNOCKD_EVENT", "stop")));
}

TEST_F(DoorKeeperTest, ExtensionIsRecordedAndSynced) {
  Terms extending = ssh();
  extending.reknock = Reknock::kExtend;
  knock(extending);
  turn();
  end("open 192.0.2.7");
  pass(5s);
  take_journal();
  knock(extending);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("write", "sync"));
  begin();  // as after a kill
  pass(9s);
  EXPECT_THAT(take_commands(), IsEmpty());
  pass(1s);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, OneTimeSequenceIsUsedBeforeAnythingElse) {
  take_journal();
  Terms once = ssh();
  once.one_time = true;
  knock(once);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("use sequence", "write", "sync", "run open 192.0.2.7"));
}

TEST_F(DoorKeeperTest, OneTimeSequenceThatCannotBeMarkedOpensNothing) {
  sequence_can_be_used_ = false;
  Terms once = ssh();
  once.one_time = true;
  knock(once);
  turn();
  EXPECT_THAT(take_commands(), IsEmpty());
  EXPECT_EQ(keeper_->open_doors(), 0u);
  EXPECT_THAT(read_file(state_file_), Not(HasSubstr("192.0.2.7")));
}

TEST_F(DoorKeeperTest, OneTimeSequenceMayBeUsedLater_OthersContinue) {
  is_used_at_once_ = false;
  Terms once = ssh();
  once.one_time = true;
  take_journal();
  knock(once);
  EXPECT_EQ(using_.rule, kRule);
  knock(ssh(), "192.0.2.8");
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("use sequence", "write", "sync", "run open 192.0.2.8"));
  keeper_->sequence_used(using_.opening, true);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("write", "sync", "run open 192.0.2.7"));
}

TEST_F(DoorKeeperTest, OneTimeSequenceMayBeUsedLater_WithNothingToRecord) {
  is_used_at_once_ = false;
  Terms once = ssh();
  once.one_time = true;
  once.stop.clear();
  take_journal();
  knock(once);
  turn();
  keeper_->sequence_used(using_.opening, true);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("use sequence", "run open 192.0.2.7"));
}

TEST_F(DoorKeeperTest, OneTimeSequenceThatIsUsedAfterTheEndOpensNothing) {
  is_used_at_once_ = false;
  Terms once = ssh();
  once.one_time = true;
  knock(once);
  keeper_->shut_down(false);
  take_journal();
  keeper_->sequence_used(using_.opening, true);
  turn();
  EXPECT_THAT(take_journal(), IsEmpty());
}

// --- Ports without a command

TEST_F(DoorKeeperTest, KnockerIsAdmittedAtOnce_WithoutWaitingForTheDisk) {
  take_journal();
  knock(ssh_port());
  EXPECT_THAT(take_journal(), ElementsAre("let in tcp 22 192.0.2.7"));
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("write", "sync"));
  EXPECT_EQ(keeper_->open_doors(), 1u);
  pass(10s);
  EXPECT_EQ(take_journal().front(), "dismiss tcp 22 192.0.2.7");
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, LogsTheAdmittedKnockerAndTheTime) {
  knock(ssh_port(1h), "2001:db8::7");
  turn();
  EXPECT_THAT(log_.take(),
              ElementsAre("<2001:db8::7>: ssh: Stage 3", "<2001:db8::7>: ssh: OPEN SESAME",
                          "ssh: opened tcp 22 to 2001:db8::7 for 3600 s"));
  pass(1h);
  EXPECT_THAT(log_.take(), ElementsAre("<2001:db8::7>: ssh: command timeout",
                                       "ssh: closed tcp 22 to 2001:db8::7"));
}

TEST_F(DoorKeeperTest, KnockerIsAdmittedBeforeTheLogLinesAreWritten) {
  admitter_.on_admit = [this] { EXPECT_THAT(log_.lines(), IsEmpty()); };
  knock(ssh_port());
  EXPECT_EQ(log_.lines().size(), 3u) << "before the turn ends";
}

TEST_F(DoorKeeperTest, CommandsBesidePortsRunAfterAdmission_AndAfterDismissal) {
  Terms both = ssh();
  both.admission = ssh_port().admission;
  take_journal();
  knock(both);
  turn();
  EXPECT_THAT(take_journal(),
              ElementsAre("let in tcp 22 192.0.2.7", "write", "sync", "run open 192.0.2.7"));
  end("open 192.0.2.7");
  take_journal();
  pass(10s);
  EXPECT_THAT(take_journal(), ElementsAre("dismiss tcp 22 192.0.2.7", "run close 192.0.2.7"));
  end("close 192.0.2.7");
  EXPECT_THAT(
      log_.take(),
      ElementsAre("<192.0.2.7>: ssh: Stage 3", "<192.0.2.7>: ssh: OPEN SESAME",
                  "ssh: opened tcp 22 to 192.0.2.7 for 10 s",
                  "ssh: running command: open 192.0.2.7", "<192.0.2.7>: ssh: command timeout",
                  "ssh: closed tcp 22 to 192.0.2.7", "ssh: running command: close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, OneTimeSequenceIsUsedBeforeAdmission) {
  is_used_at_once_ = false;
  Terms once = ssh_port();
  once.one_time = true;
  take_journal();
  knock(once);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("use sequence"));
  keeper_->sequence_used(using_.opening, true);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("let in tcp 22 192.0.2.7", "write", "sync"));
}

TEST_F(DoorKeeperTest, FailedAdmissionIsLoggedOnce_AndNothingIsRecordedOrRun) {
  Terms both = ssh();
  both.admission = ssh_port().admission;
  admitter_.faults = {"the set is full"};
  take_journal();
  knock(both);
  turn();
  pass(10s);
  EXPECT_THAT(take_journal(), ElementsAre("let in tcp 22 192.0.2.7"));
  EXPECT_THAT(log_.take(), ElementsAre("<192.0.2.7>: ssh: Stage 3", "<192.0.2.7>: ssh: OPEN SESAME",
                                       "ssh: cannot open tcp 22 to 192.0.2.7: the set is full"));
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, RenewalIsLoggedAsSuch_NotAsAnOpening) {
  Terms extending = ssh_port();
  extending.reknock = Reknock::kExtend;
  knock(extending);
  turn();
  pass(5s);
  log_.take();
  take_journal();
  knock(extending);
  turn();
  EXPECT_THAT(take_journal(), ElementsAre("let in tcp 22 192.0.2.7", "write", "sync"));
  EXPECT_THAT(log_.take(), ElementsAre("<192.0.2.7>: ssh: Stage 3", "<192.0.2.7>: ssh: OPEN SESAME",
                                       "<192.0.2.7>: ssh: already open, time extended"));
}

TEST_F(DoorKeeperTest, FailedDismissalIsLogged_AndTheOpeningIsForgotten) {
  knock(ssh_port());
  turn();
  log_.take();
  admitter_.faults = {"Operation not permitted"};
  pass(10s);
  EXPECT_THAT(log_.take(),
              ElementsAre("<192.0.2.7>: ssh: command timeout",
                          "ssh: cannot close tcp 22 to 192.0.2.7 before its time is over: "
                          "Operation not permitted"));
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, FailureToTakeOutIsReportedToWhoClosesByHand) {
  knock(ssh_port());
  turn();
  admitter_.faults = {"Operation not permitted"};
  const ClosedByHand closed = keeper_->close_by_hand({}, 0);
  EXPECT_EQ(closed.count, 1u);
  EXPECT_EQ(closed.not_shut, 1u);
  EXPECT_EQ(keeper_->close_by_hand({}, 0).not_shut, 0u);
}

TEST_F(DoorKeeperTest, NextKeeperAdmitsAgainForTheTimeLeft_WithoutALogLine) {
  knock(ssh_port());
  turn();
  pass(4s);
  keeper_.reset();  // as after a crash
  log_.take();
  take_journal();
  begin();
  EXPECT_THAT(take_journal(), Contains("let in tcp 22 192.0.2.7"));
  EXPECT_THAT(log_.take(), ElementsAre("1 door is open since an earlier run"));
  pass(5s);
  EXPECT_THAT(take_journal(), Not(Contains("dismiss tcp 22 192.0.2.7")));
  pass(1s);
  EXPECT_THAT(take_journal(), Contains("dismiss tcp 22 192.0.2.7"));
}

TEST_F(DoorKeeperTest, NextKeeperDismissesOverdueKnockers) {
  knock(ssh_port());
  turn();
  keeper_.reset();
  now_ += 1h;
  take_journal();
  begin();
  const Journal journal = take_journal();
  EXPECT_THAT(journal, Contains("dismiss tcp 22 192.0.2.7"));
  EXPECT_THAT(journal, Not(Contains("let in tcp 22 192.0.2.7")));
  begin();
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, ShutdownDismissesKnockers_UnlessDoorsAreKept) {
  knock(ssh_port(1h));
  turn();
  take_journal();
  keeper_->shut_down(false);
  EXPECT_THAT(take_journal(), Not(Contains("dismiss tcp 22 192.0.2.7")));
  keeper_->leave();
  begin();
  log_.take();
  keeper_->shut_down(true);
  EXPECT_THAT(take_journal(), Contains("dismiss tcp 22 192.0.2.7"));
  EXPECT_THAT(log_.take(), ElementsAre("<192.0.2.7>: ssh: closing, knockd is shutting down",
                                       "ssh: closed tcp 22 to 192.0.2.7"));
}

// Each has its own answer, and its lines stay together.
TEST_F(DoorKeeperTest, ShutdownDismissesAllAtOnce) {
  knock(ssh_port(1h));
  knock(ssh_port(1h), "192.0.2.8");
  turn();
  log_.take();
  admitter_.faults = {"", "no luck"};
  keeper_->shut_down(true);
  EXPECT_EQ(admitter_.calls_to_dismiss, 1);
  EXPECT_THAT(
      log_.take(),
      ElementsAre("<192.0.2.7>: ssh: closing, knockd is shutting down",
                  "ssh: closed tcp 22 to 192.0.2.7",
                  "<192.0.2.8>: ssh: closing, knockd is shutting down",
                  "ssh: cannot close tcp 22 to 192.0.2.8 before its time is over: no luck"));
}

TEST_F(DoorKeeperTest, ShutdownClosesAFewThousandInSeveralTurns) {
  for (int i = 0; i < 2500; ++i) {
    knock(ssh_port(1h), format("10.0.%d.%d", i / 250, i % 250));
  }
  turn();
  EXPECT_TRUE(keeper_->shut_down(true));
  EXPECT_EQ(keeper_->open_doors(), 1500u);
  EXPECT_TRUE(keeper_->shut_down(true));
  EXPECT_FALSE(keeper_->shut_down(true));
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

// --- By hand

TEST_F(DoorKeeperTest, CloseByHandIsOnDiskBeforeAnythingIsUndone) {
  Terms both = ssh();
  both.admission = ssh_port().admission;
  knock(both);
  turn();
  end("open 192.0.2.7");
  take_journal();
  const ClosedByHand closed = keeper_->close_by_hand({}, 0);
  EXPECT_THAT(take_journal(),
              ElementsAre("write", "sync", "dismiss tcp 22 192.0.2.7", "run close 192.0.2.7"));
  EXPECT_EQ(closed.count, 1u);
  EXPECT_THAT(closed.running, ElementsAre(1));
}

TEST_F(DoorKeeperTest, CloseByHandCountsDoorsThatAreBeingClosed_ByHandOrByTime) {
  knock(ssh());
  turn();
  end("open 192.0.2.7");
  keeper_->close_by_hand({}, 0);
  take_journal();
  const ClosedByHand again = keeper_->close_by_hand({"ssh", IpAddress::parse("192.0.2.7")}, 0);
  EXPECT_EQ(again.count, 1u);
  EXPECT_THAT(again.running, ElementsAre(1));
  EXPECT_EQ(keeper_->close_by_hand({"web", {}}, 0).count, 0u);
  EXPECT_THAT(take_journal(), Not(Contains("run close 192.0.2.7"))) << "one stop is enough";
  end("close 192.0.2.7");
  EXPECT_EQ(keeper_->close_by_hand({}, 0).count, 0u);
}

TEST_F(DoorKeeperTest, OpenByHandIsOnDiskBeforeItsCommandBegins) {
  take_journal();
  ASSERT_TRUE(open_by_hand(ssh()));
  EXPECT_THAT(take_journal(), ElementsAre("write", "sync", "run open 192.0.2.7"));
}

TEST_F(DoorKeeperTest, OpenByHandWaitsForItsStartCommand_ButNotWhenItRenews) {
  Terms extending = ssh();
  extending.reknock = Reknock::kExtend;
  const auto first = open_by_hand(extending);
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->runs_start);
  end("open 192.0.2.7");
  const auto second = open_by_hand(extending);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->id, first->id);
  EXPECT_FALSE(second->runs_start);
}

TEST_F(DoorKeeperTest, OpenByHandReportsItsOwnFailure_NotAnEarlierOne) {
  admitter_.faults = {"the set is full"};
  EXPECT_EQ(open_by_hand(ssh_port()).error().text,
            "ssh: cannot open tcp 22 to 192.0.2.7: the set is full");
  Terms without_stop = ssh();
  without_stop.stop.clear();
  runner_.errors = {E2BIG};
  EXPECT_EQ(open_by_hand(without_stop).error().text,
            "its start command could not be started, see the log");
  runner_.errors = {E2BIG};
  EXPECT_EQ(
      open_by_hand(ssh()).error().text,
      "ssh is open to 192.0.2.7 for 10 s; its start command could not be started, see the log");
}

// --- What commands do

TEST_F(DoorKeeperTest, StatusAndSignalOfACommandAreLogged_ZeroIsNot) {
  Terms plain = ssh();
  plain.stop.clear();
  const auto lines_after = [&](int status) {
    knock(plain);
    turn();
    log_.take();
    end("open 192.0.2.7", status);
    return log_.take();
  };
  EXPECT_THAT(lines_after(0), IsEmpty());
  EXPECT_THAT(lines_after(7 << 8), ElementsAre("ssh: command returned non-zero status code (7)"));
  EXPECT_THAT(lines_after(9), ElementsAre("ssh: command was killed by signal 9 (Killed)"));
}

TEST_F(DoorKeeperTest, LackOfProcessesIsRetried_LoggedOnce_AndDelaysNoOther) {
  runner_.errors = {EAGAIN, 0, ENOMEM};
  knock(ssh(), "192.0.2.7");
  knock(ssh(), "192.0.2.8");
  turn();
  EXPECT_THAT(take_commands(), ElementsAre("run open 192.0.2.8"));
  pass(50ms);
  EXPECT_THAT(take_commands(), IsEmpty());
  pass(100ms);
  EXPECT_THAT(take_commands(), ElementsAre("run open 192.0.2.7"));
  const auto lines = log_.take();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "ssh: running command: open 192.0.2.7"), 1);
  EXPECT_THAT(lines,
              Contains("ssh: command could not be started: Resource temporarily unavailable; "
                       "trying again"));
}

TEST_F(DoorKeeperTest, StopWithoutAShellIsRetried) {
  knock(ssh());
  turn();
  end("open 192.0.2.7");
  runner_.errors = {EACCES};
  pass(10s);
  EXPECT_EQ(keeper_->open_doors(), 1u);
  take_commands();
  pass(100ms);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, UnrunnableCommandFailsAtOnce) {
  runner_.errors = {E2BIG};
  knock(ssh());
  turn();
  EXPECT_THAT(log_.take(), Contains("ssh: command could not be started: Argument list too long"));
  pass(10s);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, StopTooLongForTheKernelIsGivenUp) {
  knock(ssh());
  turn();
  end("open 192.0.2.7");
  runner_.errors = {E2BIG};
  pass(10s);
  EXPECT_THAT(log_.take(), Contains("ssh: command could not be started: Argument list too long"));
  EXPECT_EQ(keeper_->open_doors(), 0u);
  take_commands();
  pass(1h);
  EXPECT_THAT(take_commands(), IsEmpty());
}

TEST_F(DoorKeeperTest, NextKeeperRestoresOpenDoors_WithTheirRecordedStopCommand) {
  knock(ssh(1h));
  turn();
  end("open 192.0.2.7");
  keeper_->leave();
  begin();
  EXPECT_EQ(keeper_->open_doors(), 1u);
  EXPECT_THAT(log_.take(), Contains("1 door is open since an earlier run"));
  take_journal();
  keeper_->shut_down(true);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
  end("close 192.0.2.7");
  keeper_->leave();
  begin();
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, NextKeeperClosesOverdueDoors) {
  knock(ssh());
  turn();
  keeper_.reset();  // as after a crash
  now_ += 1h;
  take_journal();
  begin();
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, StopThatRanIsForgottenBeforeTheNextTurn) {
  knock(ssh());
  turn();
  end("open 192.0.2.7");
  pass(10s);
  end("close 192.0.2.7");
  begin();
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, TimeIsMarkedEachMinute_WhileADoorIsOpen) {
  pass(61s);
  take_journal();
  pass(61s);
  EXPECT_THAT(take_journal(), IsEmpty());
  knock(ssh(1h));
  turn();
  take_journal();
  pass(60s);
  EXPECT_THAT(take_journal(), ElementsAre("write")) << "not worth a sync";
}

TEST_F(DoorKeeperTest, TimeIsNoLongerMarked_OnceAllDoorsAreShut) {
  knock(ssh(10s));
  turn();
  end("open 192.0.2.7");
  pass(10s);
  end("close 192.0.2.7");
  take_journal();
  pass(61s);
  EXPECT_THAT(take_journal(), IsEmpty());
}

TEST_F(DoorKeeperTest, TimeIsMarkedAtExit_WhileADoorIsOpen) {
  knock(ssh(1h));
  turn();
  take_journal();
  keeper_->leave();
  EXPECT_THAT(take_journal(), ElementsAre("write"));
}

TEST_F(DoorKeeperTest, StartThatASlowDiskDelayedGetsItsFullTime) {
  calls_.on_sync = [] { now_ += 5s; };
  knock(ssh(10s));
  turn();
  calls_.on_sync = nullptr;
  end("open 192.0.2.7");
  take_commands();
  pass(9s);
  EXPECT_THAT(take_commands(), IsEmpty());
  pass(1s);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, FailedRecordIsRetriedWithGrowingPauses) {
  calls_.write_error = ENOSPC;
  knock(ssh(1h));
  turn();
  take_journal();
  pass(100ms);
  EXPECT_THAT(take_journal(), Contains("write"));
  pass(100ms);
  EXPECT_THAT(take_journal(), IsEmpty()) << "the next pause is longer";
  calls_.write_error = 0;
  pass(100ms);
  EXPECT_THAT(take_journal(), Contains("write"));
  EXPECT_THAT(read_file(state_file_), HasSubstr("192.0.2.7"));
}

TEST_F(DoorKeeperTest, FileThatCannotBeReadAtFirstIsRestoredLater_AtTheNextKnock) {
  knock(ssh(10s));
  turn();
  calls_.read_error = EIO;
  begin();
  pass(5s);
  calls_.read_error = 0;
  knock(ssh(1h), "192.0.2.8");
  turn();
  take_commands();
  pass(5s);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, FileThatCannotBeReadAtFirstIsRestoredLater_WithoutAnyKnock) {
  knock(ssh(10s));
  turn();
  calls_.read_error = EIO;
  begin();
  calls_.read_error = 0;
  take_commands();
  for (int i = 0; i < 20; ++i) pass(1s);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

TEST_F(DoorKeeperTest, StartsThatHaveNotBegunAreDroppedAtShutdown) {
  knock(ssh());
  keeper_->shut_down(true);
  turn();
  EXPECT_THAT(take_commands(), IsEmpty());
  EXPECT_EQ(keeper_->open_doors(), 0u);
  keeper_->leave();
  begin();
  EXPECT_EQ(keeper_->open_doors(), 0u);
}

TEST_F(DoorKeeperTest, CommandWithoutAKnockHasNoAddress) {
  keeper_->run("On_Start", "echo %IP%");
  EXPECT_THAT(take_commands(), ElementsAre("run echo %IP%"));
  EXPECT_THAT(runner_.last_environment, IsEmpty());
  EXPECT_TRUE(keeper_->runs_command_of("On_Start"));
  EXPECT_THAT(log_.take(), ElementsAre("On_Start: running command: echo %IP%"));
  end("echo %IP%");
  EXPECT_FALSE(keeper_->runs_command_of("On_Start"));
}

TEST_F(DoorKeeperTest, UnknownChildIsIgnored) { EXPECT_FALSE(keeper_->child_ended(1, 0)); }

TEST_F(DoorKeeperTest, UnwritableStateFileIsOneError_AndDoorsStillWork) {
  keeper_->take_up("/proc/none/open-doors");
  EXPECT_EQ(log_.take().size(), 1u);
  knock(ssh());
  turn();
  EXPECT_THAT(take_commands(), ElementsAre("run open 192.0.2.7"));
  end("open 192.0.2.7");
  pass(10s);
  EXPECT_THAT(take_commands(), ElementsAre("run close 192.0.2.7"));
}

}  // namespace
}  // namespace knockd
