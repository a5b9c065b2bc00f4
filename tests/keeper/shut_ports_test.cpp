// SPDX-License-Identifier: MIT
// The keeper of shut ports on virtual time, with the real nft(8) and kernel; each test in its own
// network namespace. tests/e2e/test_native_doors.py sends packets.
#include "knockd/keeper/shut_ports.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/nft_network.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr Knock kSsh{22, Protocol::kTcp};
const SetName kOpen4{TableFamily::kInet, "knockd", "open4_32"};
const SetName kOpen6{TableFamily::kInet, "knockd", "open6_128"};
const SetName kTheirs{TableFamily::kInet, "own", "allowed"};

class ShutPortsTest : public NftNetwork {
 protected:
  void SetUp() override {
    NftNetwork::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ports_.emplace(loop_, log_, "knockd", folder_.path());
  }
  static ShutTable ssh_table() {
    ShutTable table;
    table.ports = {{kSsh, true}};
    table.prefixes_v4 = {128};
    table.prefixes_v6 = {128};
    return table;
  }
  OpenDoor opening(uint64_t id, const std::string& source, Duration time,
                   const std::optional<SetName>& set = std::nullopt) {
    OpenDoor door;
    door.id = id;
    door.source = IpAddress::parse(source).value();
    door.admission = Admission{{kSsh}, set, 128};
    door.deadline = loop_.now() + time;
    return door;
  }
  std::string dismiss(const OpenDoor& door) { return ports_->dismiss({&door, 1}).at(0); }
  // The kernel's elements of a set; nothing without the set.
  std::vector<NftSets::Found> elements(const SetName& set) {
    auto found = sets_->list(set);
    return found ? *std::move(found) : std::vector<NftSets::Found>();
  }
  bool is_in_kernel(const std::string& table) {
    return static_cast<bool>(sets_->picture(table, {}));
  }
  // Changes by others are noticed, and handled a little later; nft may run for it.
  void look() {
    loop_.poll();
    now_ += 10ms;
    loop_.poll();
    reap();
  }
  void reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, 0)) > 0;) ports_->child_ended(pid, status);
  }

  static inline Instant now_{1h};
  EventLoop loop_{+[] { return now_; }};
  RecordingLog log_;
  TemporaryFolder folder_;
  std::optional<ShutPorts> ports_;
};

TEST_F(ShutPortsTest, AReloadKeepsUsedSetsOfBothFamilies) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s)), "");
  ASSERT_EQ(ports_->admit(opening(2, "2001:db8::7", 60s)), "");
  ShutTable wider = ssh_table();
  wider.prefixes_v4 = {96 + 24};
  wider.prefixes_v6 = {64};
  ASSERT_TRUE(ports_->shut(wider));
  EXPECT_THAT(elements(kOpen4), SizeIs(1));
  EXPECT_THAT(elements(kOpen6), SizeIs(1));
}

// An opening of an earlier run, with another Open_Prefix.
TEST_F(ShutPortsTest, RestoredKnockerIsAdmittedWithItsRecordedPrefix) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s)), "");
  OpenDoor v4 = opening(2, "198.51.100.7", 60s);
  v4.admission->prefix = 96 + 24;
  EXPECT_EQ(ports_->admit(v4), "");
  OpenDoor v6 = opening(3, "2001:db8::7", 60s);
  v6.admission->prefix = 64;
  EXPECT_EQ(ports_->admit(v6), "");
  EXPECT_THAT(elements({TableFamily::kInet, "knockd", "open4_24"}), SizeIs(1));
  EXPECT_THAT(elements({TableFamily::kInet, "knockd", "open6_64"}), SizeIs(1));
  EXPECT_THAT(elements(kOpen4), SizeIs(1)) << "the others stay in";
  ASSERT_TRUE(ports_->shut(ssh_table()));
  EXPECT_THAT(elements({TableFamily::kInet, "knockd", "open4_24"}), SizeIs(1));
  EXPECT_EQ(dismiss(v4), "");
}

TEST_F(ShutPortsTest, FamilyThatNoDoorAdmitsIsRefused_AndTheTableStays) {
  ShutTable only_v4 = ssh_table();
  only_v4.prefixes_v6 = {};
  ASSERT_TRUE(ports_->shut(only_v4));
  EXPECT_NE(ports_->admit(opening(1, "2001:db8::7", 60s)), "");
  EXPECT_EQ(ports_->table(), only_v4);
}

TEST_F(ShutPortsTest, AReloadDoesNotRenameTheTable) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ShutTable renamed = ssh_table();
  renamed.name = "other";
  renamed.ports.push_back({{80, Protocol::kTcp}, true});
  ASSERT_TRUE(ports_->shut(renamed));
  EXPECT_THAT(log_.take(), ElementsAre("the table stays knockd until the next start"));
  EXPECT_THAT(elements({TableFamily::kInet, "knockd", "shut"}), SizeIs(2));
  EXPECT_FALSE(is_in_kernel("other"));
}

TEST_F(ShutPortsTest, AReloadWithoutSuchDoorsRemovesTheTable_ForGood) {
  ports_->keep_in(folder_ / "kept");
  ASSERT_TRUE(ports_->shut(ssh_table()));
  EXPECT_EQ(read_file(folder_ / "kept"), to_nft(ssh_table()));
  ASSERT_TRUE(ports_->shut({}));
  EXPECT_THAT(log_.take(), ElementsAre("port 22 is no longer shut"));
  nft("add table inet another\n");
  look();
  EXPECT_FALSE(is_in_kernel("knockd"));
  EXPECT_EQ(access((folder_ / "kept").c_str(), F_OK), -1) << "a faulty start would shut it again";
  EXPECT_THAT(log_.take(), IsEmpty());
}

TEST_F(ShutPortsTest, ATableThatCannotBeSavedIsShut_AndReported) {
  ports_->keep_in(folder_ / "nowhere/kept");
  EXPECT_TRUE(ports_->shut(ssh_table()));
  EXPECT_THAT(log_.take(), ElementsAre("cannot keep the table in " + (folder_ / "nowhere/kept") +
                                       ": No such file or directory"));
}

TEST_F(ShutPortsTest, AnEmptyTableInPlaceOfOursIsReplaced) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  nft("delete table inet knockd\nadd table inet knockd\n");
  look();
  EXPECT_THAT(elements({TableFamily::kInet, "knockd", "shut"}), SizeIs(1));
  EXPECT_THAT(log_.take(), ElementsAre("table knockd was changed by another program: made anew"));
}

TEST_F(ShutPortsTest, ExpiredElementIsNotAddedPermanently) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  const OpenDoor first = opening(1, "192.0.2.7", 1000s);
  ASSERT_EQ(ports_->admit(first), "");
  ASSERT_EQ(ports_->admit(opening(2, "192.0.2.7", 2000s)), "");
  now_ += 3000s;
  loop_.poll();
  EXPECT_EQ(dismiss(first), "");
  for (const NftSets::Found& one : elements(kOpen4)) EXPECT_TRUE(one.left) << "it stays for good";
}

TEST_F(ShutPortsTest, AnElementHasTheTimeOfThoseThatStillHoldIt) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  const OpenDoor first = opening(1, "192.0.2.7", 1000s);
  ASSERT_EQ(ports_->admit(first), "");
  ASSERT_EQ(ports_->admit(opening(2, "192.0.2.7", 60s)), "");
  EXPECT_EQ(dismiss(first), "");
  ASSERT_THAT(elements(kOpen4), SizeIs(1));
  EXPECT_LE(elements(kOpen4)[0].left.value(), 60s);
}

TEST_F(ShutPortsTest, RefusedKnockerIsNotAdmittedLater) {
  nft("table inet own { set allowed { type ipv4_addr; size 1; flags timeout;\n"
      " elements = { 192.0.2.99 }; }\n}\n");
  EXPECT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s, kTheirs)),
            "inet own allowed: the set is full");
  nft("flush set inet own allowed\n");
  look();
  EXPECT_THAT(elements(kTheirs), IsEmpty());
}

TEST_F(ShutPortsTest, AnElementThatOthersAddedForLongerStays) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout;\n"
      " elements = { 192.0.2.7 timeout 1h }; }\n}\n");
  const OpenDoor door = opening(1, "192.0.2.7", 60s, kTheirs);
  EXPECT_EQ(ports_->admit(door), "");
  EXPECT_EQ(dismiss(door), "");
  ASSERT_THAT(elements(kTheirs), SizeIs(1));
  EXPECT_GT(elements(kTheirs)[0].left, 1000s);
}

TEST_F(ShutPortsTest, ChangesByOthersInTheirOwnSetStay) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s, kTheirs)), "");
  nft("delete element inet own allowed { 192.0.2.7 }\n"
      "add element inet own allowed { 192.0.2.7 timeout 1h, 192.0.2.99 }\n");
  look();
  ASSERT_THAT(elements(kTheirs), SizeIs(2));
  for (const NftSets::Found& one : elements(kTheirs)) {
    EXPECT_GT(one.left.value_or(1h), 1000s) << "its time is ours";
  }
}

TEST_F(ShutPortsTest, AnElementOfOursWhoseNewTimeIsShorterIsStillOurs) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 1000s, kTheirs)), "");
  const OpenDoor renewed = opening(1, "192.0.2.7", 60s, kTheirs);
  ASSERT_EQ(ports_->admit(renewed), "");
  EXPECT_EQ(dismiss(renewed), "");
  EXPECT_THAT(elements(kTheirs), IsEmpty());
}

// The kernel's timeouts stop meanwhile; the time of an opening does not.
TEST_F(ShutPortsTest, AnElementOfOursIsOursAfterTheMachineSlept) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  const OpenDoor door = opening(1, "192.0.2.7", 1h, kTheirs);
  ASSERT_EQ(ports_->admit(door), "");
  now_ += 2h;
  loop_.poll();
  EXPECT_EQ(dismiss(door), "");
  EXPECT_THAT(elements(kTheirs), IsEmpty());
}

TEST_F(ShutPortsTest, KnockAfterTheMachineSleptGivesTheFullTime) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 2h, kTheirs)), "");
  now_ += 1h;
  loop_.poll();
  const OpenDoor renewed = opening(1, "192.0.2.7", 70min, kTheirs);
  ASSERT_EQ(ports_->admit(renewed), "");
  ASSERT_THAT(elements(kTheirs), SizeIs(1));
  EXPECT_LE(elements(kTheirs)[0].left.value(), 70min);
}

TEST_F(ShutPortsTest, AnOverdueOpeningOfAnEarlierRunIsRemoved) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  const OpenDoor door = opening(1, "192.0.2.7", 0s);
  const TimedElement element{{kOpen4, set_key(door.source, kSsh)}, 60s};
  ASSERT_EQ(sets_->put({&element, 1}), 0);
  EXPECT_EQ(dismiss(door), "");
  EXPECT_THAT(elements(kOpen4), IsEmpty());
}

// More than one batch can hold, in several sets, one of them missing; each has its own answer.
TEST_F(ShutPortsTest, ThousandsAreDismissedAtOnce) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  ShutTable table = ssh_table();
  table.most_elements = 2000;
  ASSERT_TRUE(ports_->shut(table));
  std::vector<OpenDoor> doors;
  for (uint64_t i = 0; i < 1200; ++i) {
    doors.push_back(opening(
        i, format("10.0.%d.%d", static_cast<int>(i / 200), static_cast<int>(i % 200)), 60s));
    ASSERT_EQ(ports_->admit(doors.back()), "");
  }
  doors.push_back(opening(5000, "192.0.2.7", 60s, kTheirs));
  ASSERT_EQ(ports_->admit(doors.back()), "");
  const OpenDoor stays = opening(6000, "10.0.0.1", 30s);
  ASSERT_EQ(ports_->admit(stays), "");
  nft("delete table inet own\n");
  EXPECT_THAT(ports_->dismiss(doors), Each(""));
  ASSERT_THAT(elements(kOpen4), SizeIs(1));
  EXPECT_EQ(elements(kOpen4)[0].key, set_key(stays.source, kSsh));
  EXPECT_LE(elements(kOpen4)[0].left.value(), 30s);
}

TEST_F(ShutPortsTest, ThousandsAreAddedAgain) {
  ShutTable table = ssh_table();
  table.most_elements = 2000;
  ASSERT_TRUE(ports_->shut(table));
  for (uint64_t i = 0; i < 1200; ++i) {
    const std::string source =
        format("10.0.%d.%d", static_cast<int>(i / 200), static_cast<int>(i % 200));
    ASSERT_EQ(ports_->admit(opening(i, source, 60s)), "");
  }
  nft("flush set inet knockd open4_32\n");
  look();
  EXPECT_THAT(elements(kOpen4), SizeIs(1200));
}

TEST_F(ShutPortsTest, ATimeExtendedByOthersIsCorrected) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s)), "");
  nft("delete element inet knockd open4_32 { 192.0.2.7 . tcp . 22 }\n"
      "add element inet knockd open4_32 { 192.0.2.7 . tcp . 22 timeout 1h }\n");
  look();
  ASSERT_THAT(elements(kOpen4), SizeIs(1));
  EXPECT_LE(elements(kOpen4)[0].left.value(), 60s);
}

TEST_F(ShutPortsTest, FailedRenewalKeepsTheAdmission) {
  nft("table inet own { set allowed { type ipv4_addr; size 1; flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s, kTheirs)), "");
  nft("flush set inet own allowed\nadd element inet own allowed { 192.0.2.99 }\n");
  EXPECT_NE(ports_->admit(opening(1, "192.0.2.7", 100s, kTheirs)), "");
  nft("flush set inet own allowed\n");
  look();
  EXPECT_THAT(elements(kTheirs), SizeIs(1));
}

// Also within one turn of the loop.
TEST_F(ShutPortsTest, ARecreatedSetOfOthersIsLookedUpAgain) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s, kTheirs)), "");
  nft("delete table inet own\n"
      "table inet own { set allowed { type ipv4_addr . inet_proto . inet_service; "
      "flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(2, "192.0.2.8", 60s, kTheirs)), "");
  ASSERT_THAT(elements(kTheirs), SizeIs(1));
  EXPECT_EQ(elements(kTheirs)[0].key, set_key(IpAddress::parse("192.0.2.8").value(), kSsh));
  nft("delete table inet own\ntable inet own { set allowed { type ipv4_addr; }\n}\n");
  EXPECT_EQ(ports_->admit(opening(3, "192.0.2.9", 60s, kTheirs)),
            "set inet own allowed has no 'flags timeout'");
  nft("delete table inet own\n");
  EXPECT_EQ(ports_->admit(opening(4, "192.0.2.9", 60s, kTheirs)),
            "there is no set inet own allowed");
}

TEST_F(ShutPortsTest, EachSetOfOthersIsKnownByItsName) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n"
      " set ports { type ipv4_addr . inet_proto . inet_service; flags timeout; }\n}\n");
  const SetName ports{TableFamily::kInet, "own", "ports"};
  for (uint64_t id = 1; id < 5; ++id) {
    EXPECT_EQ(ports_->admit(opening(id, "192.0.2.7", 60s, id % 2 == 0 ? kTheirs : ports)), "");
  }
  EXPECT_THAT(elements(kTheirs), SizeIs(1));
  EXPECT_THAT(elements(ports), SizeIs(1));
}

// However the administrator recreates a set in use, only a set that can hold a knocker gets
// elements again.
class SetMadeAnewTest : public ShutPortsTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(SetMadeAnewTest, OfAnotherKindGetsNoElementAndOneLine) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  const OpenDoor door = opening(1, "192.0.2.7", 1h, kTheirs);
  const OpenDoor shares = opening(2, "192.0.2.7", 2h, kTheirs);
  ASSERT_EQ(ports_->admit(door), "");
  ASSERT_EQ(ports_->admit(shares), "");
  nft(std::string("delete table inet own\ntable inet own { ") + GetParam() + "\n}\n");
  EXPECT_EQ(dismiss(door), "") << "nothing is open";
  for (int looks = 0; looks < 5; ++looks) {
    look();
    now_ += 5s;
  }
  EXPECT_THAT(elements(kTheirs), IsEmpty());
  EXPECT_THAT(log_.take(), ElementsAre(StartsWith("cannot let in again: set inet own allowed ")));
  EXPECT_EQ(dismiss(shares), "") << "nothing is open";
}

TEST_P(SetMadeAnewTest, OfTheFirstKindAgainHasItsElementAgain) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 1h, kTheirs)), "");
  nft(std::string("delete table inet own\ntable inet own { ") + GetParam() + "\n}\n");
  look();
  nft("delete table inet own\ntable inet own { set allowed { type ipv4_addr; flags timeout; "
      "}\n}\n");
  look();
  EXPECT_THAT(elements(kTheirs), SizeIs(1));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, SetMadeAnewTest,
    ::testing::Values("set allowed { type ipv4_addr; flags interval, timeout; }",
                      "set allowed { type mark; flags timeout; }",
                      "set allowed { type ipv4_addr; }",
                      "set allowed { type ipv6_addr; flags timeout; }",
                      "set allowed { type ipv4_addr . inet_proto . inet_service; flags timeout; }",
                      "map allowed { type ipv4_addr : verdict; flags timeout; }"));

TEST_F(ShutPortsTest, AFullSetIsReportedOnce_WhenKnockersCannotBeReadmitted) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; size 1; }\n}\n");
  OpenDoor door = opening(1, "192.0.2.7", 1h, kTheirs);
  ASSERT_EQ(ports_->admit(door), "");
  const auto fill = [this] {
    nft("flush set inet own allowed\nadd element inet own allowed { 192.0.2.99 }\n");
    for (int looks = 0; looks < 5; ++looks) {
      look();
      now_ += 5s;
    }
  };
  fill();
  EXPECT_THAT(log_.take(), ElementsAre("cannot let in again: inet own allowed: the set is full"));
  nft("flush set inet own allowed\n");
  look();
  EXPECT_THAT(elements(kTheirs), SizeIs(1));
  fill();
  EXPECT_THAT(log_.take(), SizeIs(1)) << "it was put right in between";
  ASSERT_EQ(dismiss(door), "");
  nft("flush set inet own allowed\n");
  look();
  door = opening(2, "192.0.2.7", 1h, kTheirs);
  ASSERT_EQ(ports_->admit(door), "");
  fill();
  EXPECT_THAT(log_.take(), SizeIs(1)) << "who is in is another";
}

// The kernel does not report expired elements.
TEST_F(ShutPortsTest, KnockerIsReadmittedWhenASetHasRoomAgain) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; size 1; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 1000h, kTheirs)), "");
  nft("flush set inet own allowed\nadd element inet own allowed { 192.0.2.99 timeout 1s }\n");
  const std::string key = set_key(IpAddress::parse("192.0.2.7").value());
  for (int tries = 0; tries < 1000 && !*sets_->find({kTheirs, key}); ++tries) {
    look();
    now_ += 5s;
    usleep(10'000);
  }
  EXPECT_TRUE(*sets_->find({kTheirs, key})) << "the other's time is over since 9 s";
}

// A set that others change all the time may have a million elements.
TEST_F(ShutPortsTest, CheckingASetOfOthersDoesNotReadAllOfIt) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  ASSERT_EQ(ports_->admit(opening(1, "192.0.2.7", 1h, kTheirs)), "");
  for (int batch = 0; batch < 200; ++batch) {
    std::vector<TimedElement> some;
    for (int i = 0; i < 500; ++i) {
      const std::string address = format("10.%d.%d.%d", batch, i / 250, i % 250);
      some.push_back({{kTheirs, set_key(IpAddress::parse(address).value())}, 1h});
    }
    ASSERT_EQ(sets_->put(some), 0);
  }
  look();
  nft("delete element inet own allowed { 192.0.2.7 }\n");
  malloc_trim(0);
  const auto most_memory = [] {  // kB
    const std::string status = read_file("/proc/self/status");
    return std::atol(status.c_str() + status.find("VmHWM:") + std::strlen("VmHWM:"));
  };
  std::ofstream("/proc/self/clear_refs") << "5";  // from now on
  const long before = most_memory();
  look();
  EXPECT_LT(most_memory() - before, 4000) << "a list of 100,000 is some 20 MB";
  EXPECT_TRUE(*sets_->find({kTheirs, set_key(IpAddress::parse("192.0.2.7").value())}));
}

// nft(8) owns its tables while it runs; the kernel does not report that they are removed with it.
// Without a home it keeps no history.
TEST_F(ShutPortsTest, ATableThatBelongsToAnotherProgramIsNamedAsSuch) {
  FILE* const owner = popen("HOME=/dev/null nft -i >/dev/null", "w");
  ASSERT_NE(owner, nullptr);
  std::fputs("table inet own { flags owner; set allowed { type ipv4_addr; flags timeout; }; }\n",
             owner);
  std::fflush(owner);
  for (int i = 0; i < 1000 && !sets_->describe(kTheirs); ++i) usleep(10'000);
  ASSERT_TRUE(sets_->describe(kTheirs)) << "nft -i made no table in 10 s";
  EXPECT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s, kTheirs)),
            "inet own allowed: the table belongs to another program (flags owner)");
  pclose(owner);
  EXPECT_EQ(ports_->admit(opening(2, "192.0.2.7", 60s, kTheirs)),
            "there is no set inet own allowed");
}

// Repairs in a row have pauses.
TEST_F(ShutPortsTest, KnockBeforeTheTableIsRebuiltIsAdmitted) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  nft("flush ruleset\n");
  EXPECT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s)), "");
  look();
  EXPECT_THAT(elements(kOpen4), SizeIs(1));
}

TEST_F(ShutPortsTest, KnockWhileTheTableIsRebuiltIsAdmitted) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  nft("flush ruleset\n");
  loop_.poll();
  now_ += 10ms;
  loop_.poll();
  EXPECT_EQ(ports_->admit(opening(1, "192.0.2.7", 60s)), "");
  reap();
  EXPECT_THAT(elements(kOpen4), SizeIs(1));
}

TEST_F(ShutPortsTest, KnockDuringAReloadIsAdmittedByTheNewTable) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ShutTable wider = ssh_table();
  wider.prefixes_v4 = {96 + 24};
  ports_->change(wider);
  OpenDoor door = opening(1, "192.0.2.7", 60s);
  door.admission->prefix = 96 + 24;
  EXPECT_EQ(ports_->admit(door), "");
  reap();
  EXPECT_THAT(elements({TableFamily::kInet, "knockd", "open4_24"}), SizeIs(1));
  EXPECT_EQ(ports_->table(), wider);
}

TEST_F(ShutPortsTest, LastOfSeveralReloadsWins_WhileNftRuns) {
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ShutTable table = ssh_table();
  for (const uint16_t port : std::vector<uint16_t>{80, 443, 8080}) {
    table.ports = {{{port, Protocol::kTcp}, true}};
    ports_->change(table);
  }
  reap();
  EXPECT_EQ(ports_->table(), table);
  EXPECT_THAT(log_.take(), ElementsAre("port 22 is no longer shut", "port 80 is no longer shut"));
}

TEST_F(ShutPortsTest, ReportingATableOfAnEarlierRunDoesNotLockIt) {
  ports_->keep_in(folder_ / "kept");
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ports_.emplace(loop_, log_, "knockd", folder_.path());
  ports_->keep_in(folder_ / "kept");
  ports_->report_left_behind();
  EXPECT_THAT(log_.take(), ElementsAre("port 22 stays shut for all by a table of an earlier run; "
                                       "knockd --unshut removes it"));
  ShutPorts unshut(loop_, log_, "knockd", folder_.path());
  EXPECT_EQ(unshut.take(), "");
}

// It would shut its ports for everybody.
TEST_F(ShutPortsTest, ATableUnderAnEarlierNameIsRemoved) {
  ports_->keep_in(folder_ / "kept");
  ShutTable table = ssh_table();
  table.ports.push_back({{80, Protocol::kTcp}, true});
  ASSERT_TRUE(ports_->shut(table));
  ports_.emplace(loop_, log_, "other", folder_.path());
  ports_->keep_in(folder_ / "kept");
  table = ssh_table();
  table.name = "other";
  ASSERT_TRUE(ports_->shut(table));
  EXPECT_THAT(log_.take(), ElementsAre("port 80 is no longer shut"));
  EXPECT_FALSE(is_in_kernel("knockd"));
  EXPECT_TRUE(is_in_kernel("other"));
  EXPECT_EQ(read_file(folder_ / "kept"), to_nft(table));
}

TEST_F(ShutPortsTest, FormerTableThatADaemonHoldsStays_AndTheNextStartKnowsIt) {
  ports_->keep_in(folder_ / "kept");
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ShutPorts second(loop_, log_, "other", folder_.path());
  second.keep_in(folder_ / "kept");
  ShutTable table = ssh_table();
  table.name = "other";
  ASSERT_TRUE(second.shut(table));
  EXPECT_THAT(log_.take(),
              ElementsAre("table knockd of an earlier run stays: another daemon has the "
                          "table knockd"));
  EXPECT_TRUE(is_in_kernel("knockd"));
  EXPECT_EQ(read_file(folder_ / "kept"), to_nft(ssh_table()));
  table.ports.clear();
  ASSERT_TRUE(second.shut(table));
  EXPECT_FALSE(is_in_kernel("other"));
  EXPECT_EQ(read_file(folder_ / "kept"), to_nft(ssh_table()));
}

TEST_F(ShutPortsTest, FormerTableIsReported_WhenNoDoorHasPorts) {
  ports_->keep_in(folder_ / "kept");
  ASSERT_TRUE(ports_->shut(ssh_table()));
  ports_.emplace(loop_, log_, "other", folder_.path());
  ports_->keep_in(folder_ / "kept");
  ports_->report_left_behind();
  EXPECT_THAT(log_.take(),
              ElementsAre(testing::HasSubstr("port 22 stays shut for all by a table")));
}

TEST_F(ShutPortsTest, MissingSetAdmitsNobody_AndIsNotAFailure) {
  nft("table inet own { set allowed { type ipv4_addr; flags timeout; }\n}\n");
  const OpenDoor door = opening(1, "192.0.2.7", 60s, kTheirs);
  ASSERT_EQ(ports_->admit(door), "");
  nft("delete table inet own\n");
  EXPECT_EQ(dismiss(door), "");
}

// A name has one table in each network namespace.
TEST_F(ShutPortsTest, ATableIsLockedOnlyInItsNetworkNamespace) {
  ASSERT_EQ(ports_->take(), "");
  ShutPorts second(loop_, log_, "knockd", folder_.path());
  EXPECT_EQ(second.take(), "another daemon has the table knockd");
  const UniqueFd here(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));  // it stays
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  EXPECT_EQ(second.take(), "");
}

TEST_F(ShutPortsTest, NothingIsLeftOfTheLock) {
  ASSERT_EQ(ports_->take(), "");
  EXPECT_FALSE(std::filesystem::is_empty(folder_.path()));
  ports_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

}  // namespace
}  // namespace knockd
