// SPDX-License-Identifier: MIT
#include "knockd/keeper/resolver.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "tests/base/child.h"
#include "tests/base/ends_soon.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

TEST(CleanHostName, KeepsCharactersOfHostNames) {
  constexpr struct {
    const char* name;
    const char* clean;
  } kTable[] = {
      {"", ""},
      {"host.example", "host.example"},
      {"HOST-1.Example.", "HOST-1.Example."},
      {"_service._tcp.example", "_service._tcp.example"},
      {"a b\tc\nd", "abcd"},
      {"x\n[2026-01-01 00:00] 192.0.2.1: ssh: OPEN SESAME",
       "x2026-01-010000192.0.2.1sshOPENSESAME"},
      {"$(reboot);`id`|&<>\"'\\", "rebootid"},
      {"\x1b[31mred\x07", "31mred"},
      {"%s%n", "sn"},
      {"b\xc3\xbc"
       "cher.example",
       "bcher.example"},
  };
  for (const auto& row : kTable) EXPECT_EQ(clean_host_name(row.name), row.clean);
}

TEST(CleanHostName, KeepsNoOtherByte) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string name(1, static_cast<char>(byte));
    const bool kept =
        (byte < 128 && std::isalnum(byte)) || byte == '-' || byte == '.' || byte == '_';
    EXPECT_EQ(clean_host_name(name), kept ? name : "") << byte;
  }
}

const IpAddress kLoopback = IpAddress::parse("127.0.0.1").value();

TEST(ResolverTest, NameIsKnownLater_AndTheFirstRequestDoesNotWait) {
  EventLoop loop;
  RecordingLog log;
  const auto created = Resolver::create(loop, log);
  Resolver& resolver = **created;
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  loop.turn();  // the answer, from /etc/hosts
  const std::string name = resolver.name_of(kLoopback);
  EXPECT_NE(name, "");
  EXPECT_EQ(clean_host_name(name), name);
}

std::string field(const std::string& status, const std::string& name) {
  const size_t at = status.find("\n" + name + ":\t");
  if (at == std::string::npos) return "no " + name;
  const size_t begin = at + name.size() + 3;
  return status.substr(begin, status.find('\n', begin) - begin);
}

// The C library parses the name server's answers in that process.
TEST(ResolverTest, ProcessHasNoPrivileges_AndNoDescriptorButItsChannel) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to have rights to lose";
  EventLoop loop;
  RecordingLog log;
  const UniqueFd ours(open("/etc/passwd", O_RDONLY));  // as after an exec by the caller
  const auto created = Resolver::create(loop, log);
  Resolver& resolver = **created;
  resolver.name_of(kLoopback);
  loop.turn();  // once it answers, it has dropped its privileges
  const std::string process = "/proc/" + std::to_string(resolver.pid());
  const std::string status = read_file(process + "/status");
  EXPECT_THAT(field(status, "Uid"), testing::Not(testing::StartsWith("0")));
  EXPECT_THAT(field(status, "Gid"), testing::Not(testing::StartsWith("0")));
  EXPECT_EQ(trim(field(status, "Groups")), "");
  EXPECT_EQ(field(status, "NoNewPrivs"), "1");
  for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_EQ(field(status, set), "0000000000000000") << set;
  }
  std::vector<std::string> descriptors;
  for (const auto& entry : std::filesystem::directory_iterator(process + "/fd")) {
    const std::string target = std::filesystem::read_symlink(entry.path());
    descriptors.push_back(target.substr(0, target.find('[')));
  }
  EXPECT_THAT(descriptors,
              testing::UnorderedElementsAre("/dev/null", "/dev/null", "/dev/null", "socket:"));
}

// The case of an ordinary user with ambient capabilities, who cannot change user.
TEST(ResolverTest, ProcessOfAnOrdinaryUserGivesUpItsCapabilitiesToo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to be someone else";
  EXPECT_EQ(in_child([] {
              if (prctl(PR_SET_KEEPCAPS, 1) != 0 || setgroups(0, nullptr) != 0 ||
                  setgid(1234) != 0 || setuid(1234) != 0) {
                return std::string("could not become 1234");
              }
              EventLoop loop;
              RecordingLog log;
              const auto created = Resolver::create(loop, log);
              Resolver& resolver = **created;
              resolver.name_of(kLoopback);
              loop.turn();
              return field(read_file("/proc/" + std::to_string(resolver.pid()) + "/status"),
                           "CapPrm");
            }),
            "0000000000000000");
}

TEST(ResolverTest, AnotherProcessAnswers_WhenItsProcessEnds) {
  EventLoop loop;
  RecordingLog log;
  const auto created = Resolver::create(loop, log);
  Resolver& resolver = **created;
  const pid_t first = resolver.pid();
  ASSERT_EQ(kill(first, SIGSTOP), 0);
  EXPECT_EQ(resolver.name_of(kLoopback), "");  // which it will never answer
  ASSERT_EQ(kill(first, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(first, &status, 0), first);
  resolver.reaped(status);
  EXPECT_EQ(resolver.pid(), 0);
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  bool late = false;
  EventLoop::Alarm deadline(loop, [&late] { late = true; });
  deadline.set(loop.now() + std::chrono::seconds(10));
  while (!late && resolver.pid() == 0) loop.turn();
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  while (!late && resolver.name_of(kLoopback).empty()) loop.turn();
  EXPECT_FALSE(late) << "no answer within 10 s";
  EXPECT_THAT(log.take(),
              testing::ElementsAre("the process that looks up names ended (killed by signal 9 "
                                   "(Killed)); starting another in 0.1 s"));
}

TEST(ResolverTest, ProcessEndsWithIt) {
  pid_t pid = 0;
  {
    EventLoop loop;
    RecordingLog log;
    const auto created = Resolver::create(loop, log);
    Resolver& resolver = **created;
    pid = resolver.pid();
  }
  EXPECT_TRUE(ends_soon(pid));
}

}  // namespace
}  // namespace knockd
