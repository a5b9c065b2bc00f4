// SPDX-License-Identifier: MIT
// Each attempt to escape runs in its own child. Without the filter of system calls (an old kernel,
// or sanitizers, which need more calls) the other measures still hold.
#include "knockd/fleet/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
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

std::string in_sandbox(const std::function<std::string()>& body) {
  return in_child([&] {
    const Status entered = enter_fleet_sandbox();
    return entered ? body() : entered.error().text;
  });
}

std::string done(bool worked) { return worked ? "worked" : "refused"; }

const std::string kKilled = format("killed by signal %d", SIGSYS);

class FleetSandbox : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kWholeSandbox) GTEST_SKIP() << "takes the filter of system calls";
  }
  static std::string tries(const std::function<bool()>& body) {
    return in_sandbox([&] { return done(body()); });
  }
};

TEST_F(FleetSandbox, AllowsWhatTheProgramNeeds) {
  EXPECT_EQ(tries([] {
              // Memory, time, the files of name services, a connection that is refused.
              std::string text(10 << 20, 'x');
              timespec now{};
              clock_gettime(CLOCK_BOOTTIME, &now);
              addrinfo* found = nullptr;
              const bool resolved = getaddrinfo("localhost", "1", nullptr, &found) == 0;
              const int fd = socket(AF_INET, SOCK_STREAM, 0);
              sockaddr_in address{};
              address.sin_family = AF_INET;
              address.sin_port = htons(1);
              address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
              const bool asked =
                  connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 ||
                  errno == ECONNREFUSED;
              return text.back() == 'x' && now.tv_sec > 0 && resolved && asked;
            }),
            "worked");
}

TEST_F(FleetSandbox, LogIsAppendedToAndNothingElseIsWritten) {
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/file";
  EXPECT_EQ(tries([&] {
              const int log = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
              return log >= 0 && write(log, "x", 1) == 1;
            }),
            "worked");
  EXPECT_EQ(tries([&] { return open(file.c_str(), O_WRONLY) >= 0; }), "refused");
  EXPECT_EQ(tries([&] { return open(file.c_str(), O_RDWR) >= 0; }), "refused");
  EXPECT_EQ(tries([&] { return open(file.c_str(), O_RDONLY | O_TRUNC) >= 0; }), "refused");
  EXPECT_EQ(tries([&] { return open(file.c_str(), O_WRONLY | O_APPEND | O_TRUNC) >= 0; }),
            "refused");
  EXPECT_EQ(tries([&] { return unlink(file.c_str()) == 0; }), "refused");
  EXPECT_EQ(tries([&] { return chmod(file.c_str(), 0777) == 0; }), "refused");
}

TEST_F(FleetSandbox, NoProcessAndNoProgramCanBeStarted) {
  EXPECT_EQ(tries([] { return fork() >= 0; }), kKilled);
  EXPECT_EQ(tries([] { return execl("/bin/true", "true", nullptr) == 0; }), kKilled);
}

TEST_F(FleetSandbox, NothingCanBeTraced) {
  EXPECT_EQ(tries([] { return ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr) == 0; }), kKilled);
}

TEST_F(FleetSandbox, NoPortCanBeOpenedForListening) {
  EXPECT_EQ(tries([] {
              const int fd = socket(AF_INET, SOCK_STREAM, 0);
              const sockaddr_in address{AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
              return bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
            }),
            "refused");
  EXPECT_EQ(tries([] { return listen(socket(AF_INET, SOCK_STREAM, 0), 1) == 0; }), kKilled);
}

TEST_F(FleetSandbox, NoCodeCanBeWritten) {
  EXPECT_EQ(tries([] {
              return mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
            }),
            "refused");
  EXPECT_EQ(tries([] {
              void* const page =
                  mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
            }),
            "refused");
}

TEST_F(FleetSandbox, OthersCannotBeSignalled) {
  EXPECT_EQ(tries([] { return kill(getppid(), 0) == 0; }), "refused");
}

#ifndef __SANITIZE_ADDRESS__
TEST(FleetRights, MemoryIsLimited) {
  const auto takes = [](size_t bytes) {
    return in_sandbox([&] {
      return done(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0) != MAP_FAILED);
    });
  };
  EXPECT_EQ(takes(size_t{128} << 20), "worked");
  EXPECT_EQ(takes(size_t{256} << 20), "refused");
}
#endif

TEST(FleetRights, NoCapabilityIsLeftAndNoneCanBeGained) {
  EXPECT_EQ(in_sandbox([] {
              std::string status(4096, '\0');
              const int fd = open("/proc/self/status", O_RDONLY);
              status.resize(static_cast<size_t>(read(fd, status.data(), status.size())));
              const bool none = status.find("CapEff:\t0000000000000000") != status.npos &&
                                status.find("CapPrm:\t0000000000000000") != status.npos &&
                                status.find("NoNewPrivs:\t1") != status.npos;
              return done(none);
            }),
            "worked");
}

}  // namespace
}  // namespace knockd
