// SPDX-License-Identifier: MIT
#include "knockd/keeper/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cctype>
#include <string>

#include "tests/keeper/recording_log.h"

namespace knockd {
namespace {

TEST(CleanHostName, KeepsWhatNamesAreMadeOf) {
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

TEST(ResolverTest, NameIsKnownLater_AndTheFirstQuestionDoesNotWait) {
  EventLoop loop;
  RecordingLog log;
  Resolver resolver(loop, log);
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  loop.turn();  // the answer, from /etc/hosts
  const std::string name = resolver.name_of(kLoopback);
  EXPECT_NE(name, "");
  EXPECT_EQ(clean_host_name(name), name);
}

TEST(ResolverTest, AnotherAnswers_WhenItsProcessEnds) {
  EventLoop loop;
  RecordingLog log;
  Resolver resolver(loop, log);
  const pid_t first = resolver.pid();
  ASSERT_EQ(kill(first, SIGSTOP), 0);
  EXPECT_EQ(resolver.name_of(kLoopback), "");  // which it will never answer
  ASSERT_EQ(kill(first, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(waitpid(first, &status, 0), first);
  resolver.reaped(status);
  EXPECT_EQ(resolver.pid(), 0);
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  while (resolver.pid() == 0) loop.turn();
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  loop.turn();
  EXPECT_NE(resolver.name_of(kLoopback), "");
  EXPECT_THAT(log.take(),
              testing::ElementsAre("the process that looks up names ended (killed by signal 9 "
                                   "(Killed)); starting another in 0.1 s"));
}

TEST(ResolverTest, ProcessEndsWithIt) {
  pid_t pid = 0;
  {
    EventLoop loop;
    RecordingLog log;
    Resolver resolver(loop, log);
    pid = resolver.pid();
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) || WIFEXITED(status));
}

}  // namespace
}  // namespace knockd
