// SPDX-License-Identifier: MIT
#include "knockd/keeper/resolver.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cctype>
#include <string>

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
  Resolver resolver(loop);
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  loop.turn();  // the answer, from /etc/hosts
  const std::string name = resolver.name_of(kLoopback);
  EXPECT_NE(name, "");
  EXPECT_EQ(clean_host_name(name), name);
}

TEST(ResolverTest, GoesOnWithoutNames_WhenItsProcessEnds) {
  EventLoop loop;
  Resolver resolver(loop);
  ASSERT_EQ(kill(resolver.pid(), SIGKILL), 0);
  loop.turn();
  EXPECT_EQ(waitpid(resolver.pid(), nullptr, 0), resolver.pid());
  resolver.reaped();
  EXPECT_EQ(resolver.name_of(kLoopback), "");
  EXPECT_EQ(resolver.name_of(kLoopback), "");
}

TEST(ResolverTest, ProcessEndsWithIt) {
  pid_t pid = 0;
  {
    EventLoop loop;
    Resolver resolver(loop);
    pid = resolver.pid();
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) || WIFEXITED(status));
}

}  // namespace
}  // namespace knockd
