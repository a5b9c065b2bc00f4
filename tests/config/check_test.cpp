// SPDX-License-Identifier: MIT
// Every warning fires where it should and is silent where it should be.
#include "knockd/config/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "knockd/config/parser.h"
#include "tests/config/text_files.h"

namespace knockd {
namespace {

class FakeSurroundings : public Surroundings {
 public:
  std::set<std::string> programs = {"iptables", "ip6tables", "nft"};
  std::map<std::string, unsigned> modes = {{"k.conf", 0640}};
  std::set<std::string> interfaces = {"eth0"};

  bool has_program(const std::string& name) const override { return programs.contains(name); }
  std::optional<unsigned> file_mode(const std::string& path) const override {
    const auto found = modes.find(path);
    return found == modes.end() ? std::nullopt : std::optional(found->second);
  }
  bool has_interface(const std::string& name) const override { return interfaces.contains(name); }
};

// A door on lines 1 to 3 about which nothing can be said.
std::string door_with_sequence(const std::string& sequence, const std::string& name = "d") {
  return '[' + name + "]\nsequence = " + sequence + "\ntcpflags = syn\n";
}

class CheckTest : public testing::Test {
 protected:
  // The warnings, one a line.
  std::string warnings(const std::string& text) {
    std::string lines;
    for (const Complaint& warning : check(*parse_config(text, "k.conf", files_), here_)) {
      EXPECT_EQ(warning.severity, Complaint::Severity::kWarning);
      lines += warning.to_string() + '\n';
    }
    return lines;
  }

  // The same for a door with this sequence.
  std::string warnings_of_sequence(const std::string& sequence) {
    return warnings(door_with_sequence(sequence));
  }

  // The same for a sound door with these lines, from line 4.
  std::string warnings_of_door_with(const std::string& lines) {
    return warnings(door_with_sequence("3856,7129,2487") + lines);
  }

  TextFiles files_;
  FakeSurroundings here_;
};

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
  EXPECT_THAT(warnings_of_sequence("3856"), testing::HasSubstr("fewer than 3 knocks"));
}

TEST_F(CheckTest, WarnsOfWellKnownPorts) {
  for (const char* sequence :
       {"22,7129,2487", "3856,80,2487", "3856,7129,443:udp", "3856,7,1023"}) {
    EXPECT_THAT(warnings_of_sequence(sequence), testing::HasSubstr("well-known ports")) << sequence;
  }
  EXPECT_EQ(warnings_of_sequence("3856,7129,1024"), "");
}

TEST_F(CheckTest, WarnsOfTheOldDefault) {
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

TEST_F(CheckTest, WarnsOnceOfDoorThatPrefixesOpen) {
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

TEST_F(CheckTest, WarnsOfTcpKnocksWithoutSyn) {
  const std::string message =
      "door \"d\": tcp knocks without TCPFlags = syn: other packets of a connection count, too\n";
  EXPECT_EQ(warnings("[d]\nsequence = 3856,7129:udp,2487\n"), "k.conf:1:1: warning: " + message);
  EXPECT_EQ(warnings("[d]\nsequence = 3856,7129,2487\ntcpflags = ack,!syn\n"),
            "k.conf:3:1: warning: " + message);
  EXPECT_EQ(warnings("[d]\nsequence = 3856,7129,2487\ntcpflags = syn,!ack\n"), "");
  EXPECT_EQ(warnings("[d]\nsequence = 3856:udp,7129:udp,2487:udp\n"), "");
}

constexpr const char* kStays =
    " adds a firewall rule that nothing takes away: expected a stop command, or a door that "
    "removes the rule\n";

TEST_F(CheckTest, WarnsOfRuleThatStays) {
  EXPECT_EQ(warnings_of_door_with("command = iptables -A INPUT -s %IP% -j ACCEPT\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
  EXPECT_EQ(warnings_of_door_with("command = nft add element inet fw in { %IP% }\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
}

TEST_F(CheckTest, IsSilentAboutRule_WhenSomethingTakesItAway) {
  const std::string add = "command = iptables -A INPUT -s %IP% -j ACCEPT";
  EXPECT_EQ(warnings_of_door_with(add + "\nstop_command = iptables -F\n"), "");
  EXPECT_EQ(warnings_of_door_with(add + "; iptables -D INPUT -s %IP% -j ACCEPT\n"), "");
  EXPECT_EQ(warnings_of_door_with(add + '\n' + door_with_sequence("9753,2468,1357", "close") +
                                  "command = iptables -D INPUT -s %IP% -j ACCEPT\n"),
            "");
  EXPECT_EQ(warnings_of_door_with("command = nft add element inet fw in { %IP% timeout 1h }\n"),
            "");
  EXPECT_EQ(warnings_of_door_with("command = iptables -L\n"), "");
}

TEST_F(CheckTest, WarnsOfRuleThatStays_WhenAnotherRuleIsTakenAway) {
  EXPECT_EQ(warnings_of_door_with("command = iptables -A INPUT -s %IP% --dport 80 -j ACCEPT\n" +
                                  door_with_sequence("9753,2468,1357", "close") +
                                  "command = iptables -D INPUT -s %IP% --dport 22 -j ACCEPT\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
}

TEST_F(CheckTest, WarnsOfRuleThatStays_ForEachFamily) {
  const std::string both =
      "command = iptables -A INPUT -s %IP% -j ACCEPT\nstop_command = iptables -F\n"
      "command_6 = ip6tables -A INPUT -s %IP% -j ACCEPT\n";
  EXPECT_EQ(warnings_of_door_with(both), "");
  EXPECT_EQ(warnings_of_door_with(both + "stop_command_6 =\n"),
            std::string("k.conf:6:1: warning: Start_Command_6") + kStays);
  EXPECT_EQ(warnings_of_door_with("command = iptables -A INPUT -s %IP% -j ACCEPT\n"
                                  "stop_command = iptables -F\nstop_command_6 =\n"),
            std::string("k.conf:4:1: warning: Start_Command") + kStays);
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

TEST_F(CheckTest, IsSilentAboutPrograms_WhenTheyExistOrCannotBeTold) {
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

TEST_F(CheckTest, WarnsOfNoDoors) {
  EXPECT_EQ(warnings("[options]\n"), "k.conf:1:1: warning: no door: nothing can be knocked at\n");
}

TEST_F(CheckTest, GivesTheParsersRemarks_InTheOrderOfTheText) {
  EXPECT_EQ(warnings("[options]\ninterface = eth0,eth0\n[d]\nsequence = 22,7129,2487\n"
                     "tcpflags = ack\ntcpflags = syn\n"),
            "k.conf:2:18: warning: interface \"eth0\" is named twice\n"
            "k.conf:4:1: warning: sequence \"22,7129,2487\": well-known ports: strangers try those "
            "below 1024 first\n"
            "k.conf:6:1: warning: tcpflags is given again: this one counts, not that of line 5\n");
}

TEST(MachineTest, KnowsThisMachine) {
  const Machine machine;
  EXPECT_TRUE(machine.has_program("sh"));
  EXPECT_TRUE(machine.has_program("/bin/sh"));
  EXPECT_FALSE(machine.has_program("/bin"));
  EXPECT_FALSE(machine.has_program("no-such-program-anywhere"));
  EXPECT_TRUE(machine.has_interface("lo"));
  EXPECT_FALSE(machine.has_interface("no-such-if"));
  EXPECT_EQ(machine.file_mode("/no/such/file"), std::nullopt);
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
