// SPDX-License-Identifier: MIT
// Each try to get out is made in a child of its own. Without the sandbox's libraries (sanitizers
// need more calls than it allows) what is left must hold all the same.
#include "knockd/listener/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <pwd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <functional>
#include <string>

#include "knockd/base/text.h"
#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

#ifdef KNOCKD_SANDBOX
constexpr bool kWholeSandbox = true;
#else
constexpr bool kWholeSandbox = false;
#endif

// What became of a child that tried it: "killed by signal 31" (SIGSYS), or what it says.
std::string in_sandbox(const std::function<std::string()>& body) {
  return in_child([&] {
    const auto fault = enter_sandbox();
    return fault ? fault->text : body();
  });
}

std::string done(bool worked) { return worked ? "worked" : "refused"; }

const std::string kKilled = format("killed by signal %d", SIGSYS);

class Sandbox : public ::testing::Test {
 protected:
  static void expect_impossible(const std::function<bool()>& body) {
    const std::string said = in_sandbox([&] { return done(body()); });
    if (kWholeSandbox) {
      EXPECT_EQ(said, kKilled);
    } else {
      EXPECT_EQ(said, "refused");
    }
  }
};

TEST_F(Sandbox, LetsGoOn) {
  EXPECT_EQ(in_sandbox([] {
              // The listener's daily bread: memory, time, its socket.
              std::string text(10 << 20, 'x');
              timespec now{};
              clock_gettime(CLOCK_BOOTTIME, &now);
              return done(text.back() == 'x' && now.tv_sec > 0);
            }),
            "worked");
}

TEST_F(Sandbox, NothingCanBeOpened) {
  expect_impossible([] { return open("/etc/passwd", O_RDONLY) >= 0; });
}

TEST_F(Sandbox, NoSocketCanBeMade) {
  expect_impossible([] { return socket(AF_INET, SOCK_DGRAM, 0) >= 0; });
}

TEST_F(Sandbox, NoDescriptorCanBeMade) {
  expect_impossible([] { return dup(STDERR_FILENO) >= 0; });
}

TEST_F(Sandbox, NoProcessCanBeStarted) {
  expect_impossible([] {
    const pid_t pid = fork();
    if (pid == 0) _exit(0);
    return pid > 0;
  });
}

TEST_F(Sandbox, NoProgramCanBeStarted) {
  if (!kWholeSandbox) GTEST_SKIP() << "takes the filter of system calls";
  expect_impossible([] {
    execl("/bin/true", "true", nullptr);
    return false;
  });
}

TEST_F(Sandbox, NoDeviceCanBeChanged) {
  if (!kWholeSandbox) GTEST_SKIP() << "takes the filter of system calls";
  expect_impossible([] {
    ifreq request{};
    return ioctl(STDERR_FILENO, SIOCSIFFLAGS, &request) == 0;
  });
}

TEST_F(Sandbox, NoOtherProcessCanBeSignalled) {
  expect_impossible([] { return kill(getppid(), 0) == 0; });
}

TEST_F(Sandbox, NoRightsCanBeHad) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to have some to lose";
  expect_impossible([] { return setuid(0) == 0 || setgroups(0, nullptr) == 0; });
}

// What `look` finds out about a process in the sandbox, which waits meanwhile.
std::string seen_from_outside(const std::function<std::string(pid_t)>& look) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return "no socket";
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    if (enter_sandbox()) _exit(1);
    char byte = 'x';
    send(ends[1], &byte, 1, MSG_NOSIGNAL);
    recv(ends[1], &byte, 1, 0);
    _exit(0);
  }
  close(ends[1]);
  char byte;
  const std::string seen = recv(ends[0], &byte, 1, 0) == 1 ? look(child) : "it did not enter";
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return seen;
}

std::string field(const std::string& status, const std::string& name) {
  const size_t at = status.find("\n" + name + ":\t");
  if (at == std::string::npos) return "no " + name;
  const size_t begin = at + name.size() + 3;
  return status.substr(begin, status.find('\n', begin) - begin);
}

TEST_F(Sandbox, ProcessIsNobody_WithoutCapabilities_AndCannotGain) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to have some to lose";
  const std::string status =
      seen_from_outside([](pid_t pid) { return read_file(format("/proc/%d/status", pid)); });
  const passwd* const ours = getpwnam("_knockd");
  const auto four_times = [](unsigned id) { return format("%u\t%u\t%u\t%u", id, id, id, id); };
  EXPECT_EQ(field(status, "Uid"), four_times(ours == nullptr ? 65534 : ours->pw_uid));
  EXPECT_EQ(field(status, "Gid"), four_times(ours == nullptr ? 65534 : ours->pw_gid));
  EXPECT_EQ(field(status, "NoNewPrivs"), "1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    EXPECT_EQ(field(status, set), "0000000000000000") << set;
  }
  if (kWholeSandbox) {
    EXPECT_EQ(field(status, "Seccomp"), "2");
  }
}

TEST_F(Sandbox, StandardStreamsLeadNowhere) {
  if (!kWholeSandbox) GTEST_SKIP() << "sanitizers tell on standard error";
  const std::string streams = seen_from_outside([](pid_t pid) {
    std::string targets;
    for (int fd = 0; fd <= 2; ++fd) {
      targets += std::filesystem::read_symlink(format("/proc/%d/fd/%d", pid, fd)).string() + ' ';
    }
    return targets;
  });
  EXPECT_EQ(streams, "/dev/null /dev/null /dev/null ");
}

TEST_F(Sandbox, PlainUserEntersItToo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to be someone else";
  const std::string said = in_child([] {
    if (setgroups(0, nullptr) != 0 || setgid(1234) != 0 || setuid(1234) != 0) {
      return std::string("could not become 1234");
    }
    const auto fault = enter_sandbox();
    return fault ? fault->text : std::string("inside");
  });
  EXPECT_EQ(said, "inside");
}

}  // namespace
}  // namespace knockd
