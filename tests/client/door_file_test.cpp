// SPDX-License-Identifier: MIT
#include "knockd/client/door_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "knockd/base/unique_fd.h"
#include "knockd/client/failure.h"
#include "knockd/config/parser.h"
#include "knockd/net/tcp_flags.h"
#include "tests/config/folder_files.h"

namespace knockd::client {
namespace {

using testing::HasSubstr;

class DoorFile : public testing::Test {
 protected:
  DoorFile() {
    char pattern[] = "/tmp/knock-test-XXXXXX";
    folder_ = mkdtemp(pattern);
  }
  ~DoorFile() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  static std::string text_of(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  template <typename Action>
  static std::string complaint(Action action) {
    const auto result = action();
    if (result) return "(no failure)";
    EXPECT_EQ(result.error().status, ExitStatus::kUsage);
    return result.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(DoorFile, ReadsKnocksWithTheirProtocols) {
  const std::string config = file("knockd.conf",
                                  "[options]\nUseSyslog\n"
                                  "[one]\nsequence = 1,2,3\n"
                                  "[two]\nsequence = 2222:udp,3333:tcp,4444:udp\ntcpflags = syn\n");
  const DoorKnocks knocks = *knocks_of_door(config, "two");
  EXPECT_EQ(to_string(knocks.sequence), "2222:udp,3333,4444:udp");
  EXPECT_FALSE(knocks.flags);
  EXPECT_TRUE(knocks.one_time_file.empty());
}

TEST_F(DoorFile, ReadsFlags_WhenAPlainSynDoesNotMatch) {
  const std::string config = file("knockd.conf", "[fin]\nsequence = 1\ntcpflags = fin,!ack\n");
  EXPECT_EQ(knocks_of_door(config, "fin")->flags, kTcpFin);
}

TEST_F(DoorFile, FindsThePortThatACommandOpens) {
  const std::string config =
      file("knockd.conf",
           "[ssh]\nsequence = 1\ncommand = iptables -I INPUT -p tcp --dport 22 -j ACCEPT\n"
           "Stop_Command = iptables -D INPUT -p tcp --dport 23 -j ACCEPT\n"
           "[bell]\nsequence = 2\nStart_Command = logger ring\n"
           "[again]\nsequence = 3\nStart_Command = iptables --dport 22\nCommand = logger\n");
  EXPECT_EQ(knocks_of_door(config, "ssh")->port, 22);
  EXPECT_FALSE(knocks_of_door(config, "bell")->port);
  EXPECT_FALSE(knocks_of_door(config, "again")->port);
}

TEST_F(DoorFile, FindsThePortOfADoorWithoutACommand) {
  const std::string config =
      file("knockd.conf",
           "[ssh]\nsequence = 1\nopen = 51820:udp, 22,23\n[wg]\nsequence = 1\nOpen = 51820:udp\n"
           "[both]\nsequence = 1\nOpen = 22\nCommand = iptables -I INPUT --dport 80\n");
  EXPECT_EQ(knocks_of_door(config, "ssh")->port, 22);
  EXPECT_FALSE(knocks_of_door(config, "wg")->port);
  EXPECT_EQ(knocks_of_door(config, "both")->port, 80);
  EXPECT_FALSE(knocks_of_door(file("k.conf", "[a]\nsequence = 1\nopen = ssh\n"), "a"));
}

TEST_F(DoorFile, ReadsChangingPorts_WithTheirSecrets) {
  const std::string config = file("knockd.conf",
                                  "[one]\nsequence = 7000,totp,totp,8000:udp\n"
                                  "Secrets = /etc/phones  # of all\nTCPFlags = syn,!ack\n");
  const DoorKnocks knocks = *knocks_of_door(config, "one");
  EXPECT_EQ(to_string(CodedSequence{knocks.sequence, knocks.places}), "7000,totp,totp,8000:udp");
  EXPECT_EQ(knocks.secrets_file, "/etc/phones");
  EXPECT_FALSE(knocks.flags);
}

TEST_F(DoorFile, UnknownDoor_ListsTheExistingOnes) {
  const std::string config = file("knockd.conf", "[one]\nsequence = 1\n[two]\nsequence = 2\n");
  EXPECT_THAT(complaint([&] { return knocks_of_door(config, "three"); }),
              HasSubstr("no door \"three\": expected one of: one, two"));
}

TEST_F(DoorFile, FaultyLine_IsReportedWithItsPosition) {
  const std::string config =
      file("knockd.conf", "[one]\n  sequence = 1,abc\n[two]\ntcpflags = syn,foo\n");
  EXPECT_THAT(complaint([&] { return knocks_of_door(config, "one"); }),
              HasSubstr(config + ":2:16: port \"abc\""));
  EXPECT_THAT(complaint([&] { return knocks_of_door(config, "two"); }),
              HasSubstr(config + ":4:16: "));
}

TEST_F(DoorFile, DoorWithoutSequence_IsNamed) {
  const std::string config = file("knockd.conf", "[one]\ntcpflags = syn\n[two]\nsequence = 1\n");
  EXPECT_EQ(complaint([&] { return knocks_of_door(config, "one"); }),
            config + ": door \"one\" has no sequence");
}

TEST_F(DoorFile, DirectivesWithoutMeaningForAKnocker_AreIgnored) {
  const std::string config =
      file("knockd.conf",
           "outside\n[options]\nsequence = 9\nOfTomorrow = 1\n"
           "[other]\nsequence = abc\none_time_sequences = /nonexistent\n"
           "[mine]\ncolour = blue\nsequence = 1\ncommand = [x] sequence = 2\n");
  EXPECT_EQ(to_string(knocks_of_door(config, "mine")->sequence), "1");
}

TEST_F(DoorFile, TextIsParsedAsTheDaemonParsesIt) {
  const std::string config = file("knockd.conf",
                                  "\xef\xbb\xbf [ one ] # mine\r\n"
                                  "# sequence = 9\r\n"
                                  "\tSEQUENCE=7000 , 8000:UDP # comment\r\n"
                                  "tcpflags = fin\r\n"
                                  "tcpflags = syn\r\n"
                                  "[one]\r\nsequence = 5");
  const DoorKnocks knocks = *knocks_of_door(config, "one");
  EXPECT_EQ(to_string(knocks.sequence), "7000,8000:udp");
  EXPECT_FALSE(knocks.flags);
}

// The daemon's parser and the client's reader must not drift apart.
TEST_F(DoorFile, EveryGoodConfiguration_GivesTheKnocksThatTheDaemonExpects) {
  const std::filesystem::path folder = KNOCKD_TEST_DATA "/config/good";
  size_t doors = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".conf") continue;
#ifndef KNOCKD_CODES
    if (entry.path().filename() == "codes.conf") continue;
#endif
    std::set<std::string> names;
    FolderFiles files(folder);
    const auto config = load_config(entry.path().filename(), files);
    for (const Door& door : config->doors) {
      const bool is_first = names.insert(door.name).second;
      const bool is_included = door.place.file != entry.path().filename();
      if (!is_first || is_included || !door.one_time_file.empty()) continue;
      SCOPED_TRACE(entry.path().string() + " " + door.name);
      const DoorKnocks knocks = *knocks_of_door(entry.path(), door.name);
      EXPECT_EQ(to_string(CodedSequence{knocks.sequence, knocks.places}),
                to_string(door.sequence()));
      EXPECT_EQ(knocks.secrets_file, door.secrets_file);
      EXPECT_EQ(knocks.flags.value_or(kTcpSyn),
                door.rule.flags.passes(kTcpSyn) ? kTcpSyn : door.rule.flags.wanted);
      ++doors;
    }
  }
  EXPECT_GT(doors, 20u);
}

TEST_F(DoorFile, MissingFile_IsNamed) {
  EXPECT_EQ(complaint([&] { return knocks_of_door("/nonexistent/file", "one"); }),
            "/nonexistent/file: No such file or directory");
}

TEST_F(DoorFile, LookingUpADoor_UsesNoSequenceUp) {
  const std::string list = file("list", "1,2\n3,4\n");
  const std::string config = file("knockd.conf", "[once]\none_time_sequences = " + list + "\n");
  EXPECT_EQ(knocks_of_door(config, "once")->one_time_file, list);
  EXPECT_EQ(text_of(list), "1,2\n3,4\n");
}

TEST_F(DoorFile, OneTimeSequences_AreUsedInOrderAndMarked) {
  const std::string list = file("list", "# mine\n\nnonsense\n1,2:udp\n3,4");
  EXPECT_EQ(to_string(*take_one_time_sequence(list)), "1,2:udp");
  EXPECT_EQ(text_of(list), "# mine\n\nnonsense\n#,2:udp\n3,4");
  EXPECT_EQ(to_string(*take_one_time_sequence(list)), "3,4");
  EXPECT_THAT(complaint([&] { return take_one_time_sequence(list); }),
              HasSubstr("no sequence is left"));
}

TEST_F(DoorFile, FolderAsAList_IsRefused) {
  EXPECT_THAT(complaint([&] { return take_one_time_sequence(folder_); }), HasSubstr("directory"));
  EXPECT_THAT(complaint([&] { return take_one_time_sequence("/dev/null"); }),
              HasSubstr("not a regular file"));
}

TEST_F(DoorFile, LockedList_IsRefusedAfterATimeLimit) {
  const std::string list = file("list", "1,2\n3,4\n");
  UniqueFd other(open(list.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(other.get(), LOCK_EX), 0);
  const auto refused = take_one_time_sequence(list, std::chrono::milliseconds(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, ExitStatus::kNoPermission);
  EXPECT_EQ(refused.error().message, list + ": locked by another program");
  EXPECT_EQ(text_of(list), "1,2\n3,4\n");
  other.reset();
  EXPECT_EQ(to_string(*take_one_time_sequence(list)), "1,2");
}

// Each child uses one line and exits with its first port as status.
TEST_F(DoorFile, ConcurrentClients_NeverUseTheSameSequence) {
  constexpr int kClients = 30;
  std::string lines;
  for (int i = 1; i <= kClients; ++i) lines += std::to_string(i) + ",1000\n";
  const std::string list = file("list", lines);

  std::set<pid_t> children;
  for (int i = 0; i < kClients; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(take_one_time_sequence(list, std::chrono::minutes(1))->front().port);
    children.insert(child);
  }
  std::set<int> taken;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    taken.insert(WEXITSTATUS(status));
  }
  EXPECT_EQ(taken.size(), size_t{kClients});
}

}  // namespace
}  // namespace knockd::client
