// SPDX-License-Identifier: MIT
// The environment of a command, as the command itself reports it.
#include "knockd/base/spawn.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/unique_fd.h"
#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

class SpawnTest : public ::testing::Test {
 protected:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  // Runs the command and returns what it wrote to "$OUT".
  std::string output_of(const std::string& command, Environment environment = {}) {
    environment.emplace_back("OUT", folder_ / "out");
    const pid_t pid = spawn_shell("exec >\"$OUT\" 2>&1\n" + command, environment);
    if (pid <= 0) return format("not started: %d", pid);
    waitpid(pid, &status_, 0);
    return read_file(folder_ / "out");
  }

  TemporaryFolder folder_;
  int status_ = 0;
};

TEST_F(SpawnTest, PassesTheCommandToTheShellUnchanged) {
  EXPECT_EQ(output_of("printf '%s|' \"a  b\" '$x' \\\"; exit 7"), "a  b|$x|\"|");
  EXPECT_TRUE(WIFEXITED(status_));
  EXPECT_EQ(WEXITSTATUS(status_), 7);
}

TEST_F(SpawnTest, CommandMayBeLong) {
  EXPECT_EQ(output_of("printf %s " + std::string(100'000, 'x')).size(), 100'000u);
}

TEST_F(SpawnTest, RunsInASessionOfItsOwn) {
  EXPECT_EQ(output_of("ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo own"), "own\n");
}

TEST_F(SpawnTest, StandardInputIsEmpty) {
  EXPECT_EQ(output_of("readlink /proc/$$/fd/0; cat"), "/dev/null\n");
}

TEST_F(SpawnTest, InheritsStandardOutput) {
  EXPECT_EQ(in_child(
                [] {
                  const pid_t pid = spawn_shell("echo out", {});
                  waitpid(pid, nullptr, 0);
                  return std::string();
                },
                STDOUT_FILENO),
            "out\n");
  EXPECT_EQ(in_child(
                [] {
                  const pid_t pid = spawn_shell("echo err >&2", {});
                  waitpid(pid, nullptr, 0);
                  return std::string();
                },
                STDERR_FILENO),
            "err\n");
}

// Nor one that this program inherited, such as a lock of the script that started it.
TEST_F(SpawnTest, HasNoOtherDescriptor) {
  const UniqueFd inherited(open("/dev/null", O_RDONLY));
  const UniqueFd high(fcntl(inherited.get(), F_DUPFD, 200));
  ASSERT_TRUE(high);
  // With "true" the shell does not exec ls, which opens the folder that it lists.
  EXPECT_EQ(output_of("ls /proc/$$/fd; true"), "0\n1\n2\n");
}

TEST_F(SpawnTest, SignalsAreDefaultAndUnblocked) {
  const std::string said = in_child([this] {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    return output_of(
        "while read name mask; do case $name in Sig[BI]*) echo $name $mask;; esac;"
        " done </proc/$$/status");
  });
  unsigned long long blocked = 1, ignored = 1;
  ASSERT_EQ(std::sscanf(said.c_str(), "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2) << said;
  EXPECT_EQ(blocked, 0u);
  // The C library reserves two real-time signals and ignores them in spawned programs.
  EXPECT_EQ(ignored & 0x7fffffff, 0u);
}

TEST_F(SpawnTest, InheritsTheEnvironment_WithTheAdditions) {
  setenv("KNOCKD_TEST_OURS", "ours", 1);
  EXPECT_EQ(output_of("echo $KNOCKD_TEST_OURS $KNOCKD_IP $KNOCKD_DOOR",
                      {{"KNOCKD_IP", "192.0.2.7"}, {"KNOCKD_DOOR", "a door;$(b)"}}),
            "ours 192.0.2.7 a door;$(b)\n");
  unsetenv("KNOCKD_TEST_OURS");
}

TEST_F(SpawnTest, AdditionsReplaceInheritedVariables) {
  setenv("KNOCKD_IP", "stale", 1);
  EXPECT_EQ(output_of("env | grep ^KNOCKD_IP", {{"KNOCKD_IP", "192.0.2.7"}}),
            "KNOCKD_IP=192.0.2.7\n");
  unsetenv("KNOCKD_IP");
}

TEST_F(SpawnTest, HasAPath_WhenNoneIsInherited) {
  const std::string said = in_child([this] {
    unsetenv("PATH");
    return output_of("echo \"$PATH\"; env | grep -c ^PATH=");
  });
  EXPECT_EQ(said, "/usr/sbin:/usr/bin:/sbin:/bin\n1\n");
}

TEST_F(SpawnTest, ReportsTheError_WhenNoProcessCanBeCreated) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become a user without processes";
  const std::string said = in_child([] {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_NPROC, &none);
    if (setuid(54321) != 0) return std::string("could not become another user");
    return format("%d", spawn_shell("true", {}));
  });
  EXPECT_EQ(said, format("%d", -EAGAIN));
}

}  // namespace
}  // namespace knockd
