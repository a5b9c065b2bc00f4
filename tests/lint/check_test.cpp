// SPDX-License-Identifier: MIT
// Every warning: a case with it and cases without it.
#include "knockd/lint/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "knockd/base/text.h"
#include "tests/base/temporary_folder.h"
#include "tests/lint/check_fixture.h"

namespace knockd {
namespace {

TEST_F(CheckTest, IsSilent_WhenNothingIsDoubtful) {
  EXPECT_EQ(warnings_of_sequence("3856,7129:udp,2487"), "");
}

TEST_F(CheckTest, WarnsOfNeighbours) {
  EXPECT_EQ(warnings_of_sequence("7000,7001,7002"),
            "k.conf:2:1: warning: sequence \"7000,7001,7002\": ascending neighbours: a port scan "
            "may knock them\n");
  EXPECT_EQ(warnings_of_sequence("7002,7001:udp,7000"),
            "k.conf:2:1: warning: sequence \"7002,7001:udp,7000\": descending neighbours: a port "
            "scan may knock them\n");
  EXPECT_EQ(warnings_of_sequence("7000,7001,7003"), "");
  EXPECT_EQ(warnings_of_sequence("7000,7001,7000"), "");
}

TEST_F(CheckTest, WarnsOfRepeatedPorts) {
  EXPECT_EQ(warnings_of_sequence("1111,1111,2222"),
            "k.conf:2:1: warning: sequence \"1111,1111,2222\": a port is repeated: programs that "
            "repeat a packet knock it by chance\n");
  EXPECT_EQ(warnings_of_sequence("1111,2222,1111"), "");
  EXPECT_EQ(warnings_of_sequence("1111,1111:udp,2222"), "");
}

TEST_F(CheckTest, WarnsOfFewKnocks) {
  EXPECT_EQ(warnings_of_sequence("3856,7129"),
            "k.conf:2:1: warning: sequence \"3856,7129\": fewer than 3 knocks are soon guessed\n");
  EXPECT_EQ(warnings_of_sequence("3856"),
            "k.conf:2:1: warning: sequence \"3856\": one knock: any port scan opens the door\n");
  EXPECT_EQ(
      warnings_of_sequence("3856:udp"),
      "k.conf:2:1: warning: sequence \"3856:udp\": one knock: any port scan opens the door\n");
}

TEST_F(CheckTest, WarnsOfWellKnownPorts) {
  for (const char* sequence :
       {"22,7129,2487", "3856,80,2487", "3856,7129,443:udp", "3856,7,1023"}) {
    EXPECT_THAT(warnings_of_sequence(sequence), testing::HasSubstr("well-known ports")) << sequence;
  }
  EXPECT_EQ(warnings_of_sequence("3856,7129,1024"), "");
}

TEST_F(CheckTest, WarnsOfTheOldDefaultSequence) {
  for (const char* sequence : {"7000,8000,9000", "9000,8000,7000"}) {
    EXPECT_THAT(warnings_of_sequence(sequence), testing::HasSubstr("the default of knockd 0.8"));
  }
  EXPECT_EQ(warnings_of_sequence("7000,8000,9000,2487"), "");
}

TEST_F(CheckTest, WarnsOfDoorThatAPrefixOpens) {
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487,9753", "long") +
                     door_with_sequence("3856,7129,2487", "short")),
            "k.conf:5:1: warning: door \"short\" is opened by the first knocks of door \"long\"\n");
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487,9753", "long") +
                     door_with_sequence("3856,7129:udp,2487", "other")),
            "");
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487", "a") +
                     door_with_sequence("3856,7129,2487", "twin")),
            "");
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487,9753", "long") +
                     door_with_sequence("3856,7129,2487", "short") + "target = 192.0.2.1\n"),
            "");
}

TEST_F(CheckTest, WarnsOnce_OfADoorThatSeveralPrefixesOpen) {
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487", "short") +
                     door_with_sequence("3856,7129,2487,9753", "long") +
                     door_with_sequence("3856,7129,2487,1357", "another")),
            "k.conf:2:1: warning: door \"short\" is opened by the first knocks of door \"long\"\n");
}

TEST_F(CheckTest, WarnsOfTwoDoorsOfOneName) {
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487", "a") +
                     door_with_sequence("9753,7129,2487", "a")),
            "k.conf:4:1: warning: door \"a\": another of this name is at k.conf:1\n");
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487", "a") +
                     door_with_sequence("9753,7129,2487", "A")),
            "");
}

// The scan guard sees connection attempts (SYN without ACK) alone.
TEST_F(CheckTest, WarnsOfTcpKnocksThatTheScanGuardDoesNotSee) {
  const std::string message =
      "door \"d\": tcp knocks without TCPFlags = syn: a port scan can open the door, the scan "
      "guard "
      "sees connection attempts (SYN without ACK) alone\n";
  EXPECT_EQ(warnings("[d]\nsequence = 3856,7129:udp,2487\n"), "k.conf:1:1: warning: " + message);
  for (const char* flags : {"ack,!syn", "fin", "!ack", "syn,ack", "ack,syn,!rst"}) {
    EXPECT_EQ(warnings(std::string("[d]\nsequence = 3856,7129,2487\ntcpflags = ") + flags + '\n'),
              "k.conf:3:1: warning: " + message)
        << flags;
  }
  for (const char* flags : {"syn", "syn,!ack", "syn,fin,!ack", "!rst,syn"}) {
    EXPECT_EQ(warnings(std::string("[d]\nsequence = 3856,7129,2487\ntcpflags = ") + flags + '\n'),
              "")
        << flags;
  }
}

TEST_F(CheckTest, WarnsOfFewerThanTwoTcpKnocks) {
  const std::string message =
      "fewer than two tcp knocks: a port scan can open the door, the scan guard sees tcp alone\n";
  EXPECT_EQ(warnings("[d]\nsequence = 3856:udp,7129:udp,2487:udp\n"),
            "k.conf:2:1: warning: sequence \"3856:udp,7129:udp,2487:udp\": " + message);
  EXPECT_EQ(warnings_of_sequence("3856:udp,7129,2487:udp"),
            "k.conf:2:1: warning: sequence \"3856:udp,7129,2487:udp\": " + message);
  EXPECT_EQ(warnings_of_sequence("3856,7129:udp,2487"), "");
}

TEST_F(CheckTest, WarnsOnce_WithoutAScanGuard) {
  EXPECT_EQ(warnings("[options]\nscan_limit = 0\n" + door_with_sequence("3856,7129,2487") +
                     door_with_sequence("9753,7129,2487", "e")),
            "k.conf:2:1: warning: Scan_Limit = 0 turns the scan guard off: a port scan can open "
            "doors\n");
}

TEST_F(CheckTest, WarnsOfMissingPrograms_InEachCommand) {
  EXPECT_EQ(warnings("[options]\non_start = /opt/a\non_stop = b; iptables -F; b\n" +
                     door_with_sequence("3856,7129,2487") +
                     "start_command = c %IP%\nstop_command = iptables -L && d\n"
                     "start_command_6 = e\nstop_command_6 = f\n"),
            "k.conf:2:1: warning: On_Start: program \"/opt/a\" does not exist\n"
            "k.conf:3:1: warning: On_Stop: program \"b\" does not exist\n"
            "k.conf:7:1: warning: Start_Command: program \"c\" does not exist\n"
            "k.conf:8:1: warning: Stop_Command: program \"d\" does not exist\n"
            "k.conf:9:1: warning: Start_Command_6: program \"e\" does not exist\n"
            "k.conf:10:1: warning: Stop_Command_6: program \"f\" does not exist\n");
}

TEST_F(CheckTest, IsSilentAboutPrograms_WhenTheyExistOrAreUnknown) {
  EXPECT_EQ(warnings_of_door_with("command = echo %IP% | iptables -L\n"), "");
  EXPECT_EQ(warnings_of_door_with("command = cd /opt/x && ./open\n"), "");
  EXPECT_EQ(warnings_of_door_with("command = PATH=/opt/x open\n"), "");
  EXPECT_EQ(warnings_of_door_with("command = . /lib/functions.sh; network_get wan\n"), "");
}

TEST_F(CheckTest, WarnsOfFilesThatOthersMayUse) {
  here_.modes["k.conf"] = 0644;
  EXPECT_EQ(
      warnings_of_sequence("3856,7129,2487"),
      "k.conf:1:1: warning: file \"k.conf\": others may read it (mode 0644): expected 0600 or "
      "0640\n");
  here_.modes["k.conf"] = 0602;
  EXPECT_THAT(warnings_of_sequence("3856,7129,2487"), testing::HasSubstr("others may write it"));
}

TEST_F(CheckTest, WarnsOfIncludedAndOneTimeFilesThatOthersMayUse) {
  files_.texts = {{"more", "[m]\none_time_sequences = list\ntcpflags = syn\n"},
                  {"list", "3856,7129,2487\n"}};
  here_.modes["more"] = here_.modes["list"] = 0600;
  EXPECT_EQ(warnings("[options]\ninclude = more\n"), "");
  here_.modes["more"] = here_.modes["list"] = 0644;
  EXPECT_EQ(
      warnings("[options]\ninclude = more\n"),
      "more:1:1: warning: file \"more\": others may read it (mode 0644): expected 0600 or 0640\n"
      "more:2:1: warning: file \"list\": others may read it (mode 0644): expected 0600 or "
      "0640\n");
}

TEST_F(CheckTest, WarnsOfMissingInterfaces) {
  const std::string door = door_with_sequence("3856,7129,2487");
  EXPECT_EQ(warnings("[options]\ninterface = eth0, ppp0\n" + door),
            "k.conf:2:1: warning: interface \"ppp0\" does not exist: it would be waited for\n");
  EXPECT_EQ(warnings("[options]\ninterface = eth0\n" + door), "");
  EXPECT_EQ(warnings("[options]\ninterface = any\n" + door), "");
}

TEST_F(CheckTest, WarnsOfAMissingGroup) {
  const std::string door = door_with_sequence("3856,7129,2487");
  EXPECT_EQ(warnings("[options]\ncontrol_group = userz\n" + door),
            "k.conf:2:1: warning: group \"userz\" does not exist: nobody could ask the daemon\n");
  EXPECT_EQ(warnings("[options]\ncontrol_group = users\n" + door), "");
}

TEST_F(CheckTest, WarnsWithoutDoors) {
  EXPECT_EQ(warnings("[options]\n"), "k.conf:1:1: warning: no door: nothing can be knocked at\n");
}

TEST_F(CheckTest, PrintsTheParsersRemarks_InTheOrderOfTheText) {
  EXPECT_EQ(warnings("[options]\ninterface = eth0,eth0\n[d]\nsequence = 22,7129,2487\n"
                     "tcpflags = ack\ntcpflags = syn\n"),
            "k.conf:2:18: warning: interface \"eth0\" is named twice\n"
            "k.conf:4:1: warning: sequence \"22,7129,2487\": well-known ports: strangers try those "
            "below 1024 first\n"
            "k.conf:6:1: warning: tcpflags is given again: this one counts, not that of line 5\n");
}

// --- Doors without a shell -----------------------------------------------------------------------

TEST_F(CheckTest, IsSilentOfANativeDoor_WhenNothingIsDoubtful) {
  here_.listed =
      "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter;"
      " policy accept;\n\t}\n}\n";
  EXPECT_EQ(warnings_of_door_with("open = 22\n"), "");
  here_.listed.reset();
  EXPECT_EQ(warnings_of_door_with("open = 22\n"), "");
}

TEST_F(CheckTest, WarnsOfInterfacesAtWhichPortsStayOpen) {
  here_.others = {"eth1 (192.0.2.1)", "docker0 (172.17.0.1)"};
  EXPECT_EQ(warnings_of_door_with("open = 22\nopen_for = 1h\n[e]\nsequence = 4,3856,7\n"
                                  "tcpflags = syn\nopen = 80\n"),
            "k.conf:4:1: warning: Open: at eth1 (192.0.2.1), docker0 (172.17.0.1) knockd does not "
            "listen, so ports stay open there: expected a longer list in Interface, or any\n"
            "k.conf:7:1: warning: sequence \"4,3856,7\": well-known ports: strangers try those "
            "below 1024 first\n");
  EXPECT_EQ(warnings_of_door_with("start_command = nft x\n"), "");
  EXPECT_EQ(warnings_of_door_with("open = 22\nopen_set = inet a b\nopen_set_6 = inet a c\n"), "");
}

TEST_F(CheckTest, WarnsOfChainsThatDropAfterTheOwnTable) {
  here_.listed =
      "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter;"
      " policy drop;\n\t\tudp dport 53 accept\n\t}\n}\n";
  EXPECT_EQ(warnings_of_door_with("open = 22,53:udp\n"),
            "k.conf:4:1: warning: port 22: chain inet filter input, which comes after knockd's own "
            "table, drops it for everyone: expected a rule there that accepts it, or Open_Set\n");
}

TEST_F(CheckTest, WarnsOfMissingNft) {
  here_.programs.erase("nft");
  EXPECT_EQ(warnings_of_door_with("open = 22\n"),
            "k.conf:4:1: warning: Open: program \"nft\" does not exist: no port can be shut, so "
            "knockd would not start\n");
  EXPECT_EQ(warnings_of_door_with("open_set = inet a b\nopen_set_6 = inet a c\n"), "");
  here_.programs.insert("/usr/sbin/nft");
  EXPECT_EQ(warnings_of_door_with("open = 22\n"), "") << "where PATH lacks it";
}

TEST_F(CheckTest, WarnsOfSetsThatCannotBeUsed) {
  const auto of_set = [&](const std::string& set) {
    here_.listed =
        "table inet own {\n\tset six {\n\t\ttype ipv6_addr\n\t\tflags timeout\n\t}\n" + set + "}\n";
    return warnings_of_door_with("open_set = inet own allowed\nopen_set_6 = inet own six\n");
  };
  const std::string place = "k.conf:4:1: warning: set inet own allowed ";
  EXPECT_EQ(of_set(""), place + "does not exist\n");
  EXPECT_EQ(of_set("\tset allowed {\n\t\ttype ipv6_addr\n\t\tflags timeout\n\t}\n"),
            place +
                "is of type ipv6_addr: expected ipv4_addr, or ipv4_addr . inet_proto . "
                "inet_service\n");
  EXPECT_EQ(of_set("\tset allowed {\n\t\ttype ipv4_addr\n\t}\n"),
            place + "has no 'flags timeout': the kernel would shut nobody out again\n");
  EXPECT_EQ(of_set("\tset allowed {\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n\t}\n"),
            place + "is of intervals or constant: expected 'flags timeout' alone\n");
  EXPECT_EQ(of_set("\tset allowed {\n\t\ttype ipv4_addr . inet_proto . inet_service\n"
                   "\t\tflags timeout\n\t}\n"),
            place + "takes ports as well: expected Open\n");
  EXPECT_EQ(of_set("\tset allowed {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t}\n"), "");
  EXPECT_EQ(of_set("\tset allowed {\n\t\ttypeof ip saddr\n\t\tflags timeout\n\t}\n"), "");
  here_.listed.reset();
  EXPECT_EQ(warnings_of_door_with("open_set = inet own allowed\nopen_set_6 = inet own six\n"), "");
}

TEST_F(CheckTest, WarnsOfGlobalSetsThatCannotBeUsed) {
  here_.listed = "";
  EXPECT_EQ(warnings("[options]\nopen_set = inet fw4 knockd4\n" +
                     door_with_sequence("3856,7129,2487") + "open = 22\n"),
            "k.conf:2:1: warning: Open_Set without Open_Set_6: nobody is let in over IPv6\n"
            "k.conf:2:1: warning: set inet fw4 knockd4 does not exist\n");
}

TEST_F(CheckTest, WarnsOfSetsForOneFamilyAlone) {
  EXPECT_EQ(warnings_of_door_with("open_set = inet a b\n"),
            "k.conf:4:1: warning: Open_Set without Open_Set_6: nobody is let in over IPv6\n");
  EXPECT_EQ(warnings_of_door_with("open = 22\nopen_set_6 = inet a b\n"),
            "k.conf:5:1: warning: Open_Set_6 without Open_Set: nobody is let in over IPv4\n");
}

TEST_F(CheckTest, WarnsOfTheFirewallHelper_ForPortsThatTheOwnTableShuts) {
  here_.programs.insert("knockd-firewall");
  const std::string command = "start_command = knockd-firewall open-port d %IP% 80 22\n";
  EXPECT_EQ(warnings_of_door_with("open = 22\n" + command),
            "k.conf:5:1: warning: Start_Command: knockd-firewall does not open port 22, which "
            "knockd's own table shuts (Open): expected Open in place of the command\n");
  EXPECT_EQ(warnings_of_door_with("open = 22:udp,443\n" + command), "");
  EXPECT_EQ(warnings_of_door_with(command), "");
}

TEST(MachineTest, KnowsThisMachine) {
  const Machine machine;
  EXPECT_TRUE(machine.has_program("sh"));
  EXPECT_TRUE(machine.has_program("/bin/sh"));
  EXPECT_FALSE(machine.has_program("/bin"));
  EXPECT_FALSE(machine.has_program("no-such-program-anywhere"));
  EXPECT_TRUE(machine.has_interface("lo"));
  EXPECT_FALSE(machine.has_interface("no-such-if"));
  EXPECT_TRUE(machine.has_group("root"));
  EXPECT_FALSE(machine.has_group("no-such-group"));
  EXPECT_EQ(machine.file_mode("/no/such/file"), std::nullopt);
}

#ifdef KNOCKD_CODES

class ChangingPlaces : public CheckTest {
 protected:
  // The warnings about one door with this sequence and number of users, after these lines.
  std::string warnings_about(const std::string& sequence, int users = 1,
                             const std::string& options = "") {
    constexpr const char* kSecrets[] = {"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
                                        "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"};
    files_.texts["phones"].clear();
    for (int i = 0; i < users; ++i) files_.texts["phones"] += format("u%d %s\n", i, kSecrets[i]);
    return warnings(options + "[d]\nsequence = " + sequence + "\nsecrets = phones\n");
  }
};

TEST_F(ChangingPlaces, EnoughOfThem_GiveNoWarning) {
  EXPECT_EQ(warnings_about("3856,totp,totp,totp,totp", 2), "");
  EXPECT_EQ(warnings_about("totp,totp,totp,totp", 2), "");
  EXPECT_EQ(warnings_about("3856,totp,totp,totp", 1), "");
  EXPECT_EQ(warnings_about("3856,400xx,401xx,402xx,403xx", 2), "");
}

TEST_F(ChangingPlaces, TooFew_GiveAWarning) {
  EXPECT_EQ(warnings_about("3856,totp,totp"),
            "k.conf:2:1: warning: sequence \"3856,totp,totp\": fewer than 3 places that change "
            "are soon guessed: expected four\n");
  EXPECT_EQ(warnings_about("3856,totp,totp,totp", 2),
            "k.conf:2:1: warning: sequence \"3856,totp,totp,totp\": three places that change, for "
            "2 users: one of them is guessed sooner: expected four\n");
  EXPECT_EQ(warnings_about("3856,400xx,401xx,402xx"),
            "k.conf:2:1: warning: sequence \"3856,400xx,401xx,402xx\": 6 digits: 2.6 % a day for "
            "an attacker who knows the fixed knock and never pauses: expected four places\n");
}

TEST_F(ChangingPlaces, EachPortThatTheGuardAllowsIsAGuess) {
  EXPECT_EQ(warnings_about("3856,totp,totp,totp,totp", 1, "[options]\nscan_limit = 4\n"), "");
  EXPECT_EQ(warnings_about("3856,totp,totp,totp,totp", 1, "[options]\nscan_limit = 5\n"),
            "k.conf:2:1: warning: Scan_Limit = 5 with door \"d\": each port more is one guess more "
            "at places that change: expected at most 4\n");
}

TEST_F(ChangingPlaces, ClockIsMentionedOnce) {
  here_.clock_in_sync = false;
  EXPECT_EQ(
      warnings_about("3856,totp,totp,totp,totp", 1, door_with_sequence("3856,7129,2487", "e")),
      "k.conf:5:1: warning: the clock is not in sync: places that change are those of its "
      "time: expected an NTP client to set it\n");
  EXPECT_EQ(warnings(door_with_sequence("3856,7129,2487")), "");
}

TEST_F(ChangingPlaces, OpenTogetherOnlyIfTheSecretsAreTheSame) {
  const auto with = [&](const std::string& name, const std::string& sequence,
                        const std::string& file) {
    files_.texts[file] = "u GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n";
    return '[' + name + "]\nsequence = " + sequence + "\nsecrets = " + file + '\n';
  };
  const std::string longer = with("long", "3856,totp,totp,totp,totp", "a");
  EXPECT_EQ(warnings(longer + with("short", "3856,totp,totp,totp", "b")), "");
  EXPECT_EQ(warnings(longer + with("short", "3856,totp,totp,totp", "a")),
            "k.conf:5:1: warning: door \"short\" is opened by the first knocks of door \"long\"\n");
  EXPECT_EQ(warnings(longer + door_with_sequence("3856,10081,10081", "plain")),
            "k.conf:5:1: warning: sequence \"3856,10081,10081\": a port is repeated: programs that "
            "repeat a packet knock it by chance\n");
}

#endif

TEST(MachineTest, RunsNoProgramThatIsOnlyNamedLikeIptables) {
  const TemporaryFolder folder;
  write_file(folder / "iptables", "#!/bin/sh\ntouch " + (folder / "ran") + '\n');
  ASSERT_EQ(::chmod((folder / "iptables").c_str(), 0755), 0);
  EXPECT_EQ(Machine().iptables_chain(folder / "iptables", "INPUT"), "");
  EXPECT_EQ(Machine().iptables_chain("iptables-evil", "INPUT"), "");
  EXPECT_NE(::access((folder / "ran").c_str(), F_OK), 0);
}

TEST(MachineTest, KillsAHungNft) {
  if (::geteuid() != 0) GTEST_SKIP() << "nft is asked as root alone";
  const TemporaryFolder folder;
  write_file(folder / "nft", "#!/bin/sh\nexec sleep 1000\n");
  ASSERT_EQ(::chmod((folder / "nft").c_str(), 0755), 0);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (folder.path() + ':' + path).c_str(), 1);
  EXPECT_EQ(Machine().ruleset(), std::nullopt);
  ::setenv("PATH", path.c_str(), 1);
}

TEST(MachineTest, ReadsModeOfFile) {
  char path[] = "/tmp/knockd-mode-test-XXXXXX";
  const int fd = ::mkstemp(path);
  ASSERT_GE(fd, 0);
  ::fchmod(fd, 0604);
  EXPECT_EQ(Machine().file_mode(path), 0604u);
  EXPECT_FALSE(Machine().has_program(path));
  ::fchmod(fd, 0755);
  EXPECT_TRUE(Machine().has_program(path));
  ::close(fd);
  ::unlink(path);
}

}  // namespace
}  // namespace knockd
