// SPDX-License-Identifier: MIT
#include "knockd/base/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"

namespace knockd {
namespace {

// The open descriptors below 1000.
std::string open_descriptors() {
  std::string list;
  for (int fd = 0; fd < 1000; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) list += format("%d ", fd);
  }
  return list;
}

void open_at(const std::vector<int>& fds) {
  for (const int fd : fds) dup2(STDERR_FILENO, fd);
}

TEST(CloseInherited, KeepsTheStandardStreamsAndOneMore) {
  EXPECT_EQ(in_child(
                [] {
                  open_at({3, 4, 49, 51, 900});
                  close_inherited(50);
                  return open_descriptors();
                },
                50),
            "0 1 2 50 ");
}

TEST(FillStandardStreams, OpensTheMissingOnes_AndNoOther) {
  EXPECT_EQ(in_child(
                [] {
                  close_inherited(50);
                  close(STDIN_FILENO);
                  close(STDERR_FILENO);
                  fill_standard_streams();
                  return open_descriptors();
                },
                50),
            "0 1 2 50 ");
}

TEST(LimitResource, SetsBothLimits_OrSaysWhichItCouldNot) {
  EXPECT_EQ(in_child([] {
              const Status set = limit_resource(RLIMIT_NOFILE, 20, "RLIMIT_NOFILE");
              rlimit limit{};
              getrlimit(RLIMIT_NOFILE, &limit);
              const bool is_set = set && limit.rlim_cur == 20 && limit.rlim_max == 20;
              // No process may have more than the system.
              const Status refused = limit_resource(RLIMIT_NOFILE, RLIM_INFINITY, "RLIMIT_NOFILE");
              return (is_set ? "set, then " : "not set, then ") +
                     (refused ? "no error" : refused.error().text);
            }),
            "set, then RLIMIT_NOFILE: Operation not permitted");
}

TEST(CloseInherited, KeepsTheDescriptorAfterTheStandardStreams) {
  EXPECT_EQ(in_child(
                [] {
                  open_at({4, 5, 900});
                  close_inherited(3);
                  return open_descriptors();
                },
                3),
            "0 1 2 3 ");
}

TEST(CloseInherited, KeepsTheStandardStreams_WhenAskedToKeepOneOfThem) {
  EXPECT_EQ(in_child(
                [] {
                  open_at({3, 4, 900});
                  close_inherited(0);
                  return open_descriptors();
                },
                0),
            "0 1 2 ");
}

TEST(ResetSignals, UndoesWhatTheParentIgnoredOrBlocked) {
  EXPECT_EQ(in_child([] {
              sigset_t set;
              sigfillset(&set);
              sigprocmask(SIG_SETMASK, &set, nullptr);
              for (const int number : {SIGCHLD, SIGPIPE, SIGRTMAX}) signal(number, SIG_IGN);
              reset_signals();
              std::string left;
              sigprocmask(SIG_BLOCK, nullptr, &set);
              for (int number = 1; number < NSIG; ++number) {
                struct sigaction action {};
                const bool blocked = sigismember(&set, number) == 1;
                const bool ignored =
                    sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL;
                if (blocked || ignored) left += format("%d ", number);
              }
              return left;
            }),
            "");
}

std::string user() {
  uid_t uids[3];
  gid_t gids[3];
  getresuid(&uids[0], &uids[1], &uids[2]);
  getresgid(&gids[0], &gids[1], &gids[2]);
  return format("uids %u %u %u, gids %u %u %u, %d groups", uids[0], uids[1], uids[2], gids[0],
                gids[1], gids[2], getgroups(0, nullptr));
}

constexpr char kNobody[] = "uids 65534 65534 65534, gids 65534 65534 65534, 0 groups";

// The user that root becomes on a system with these users.
std::string become_nobody_among(const std::string& users) {
  const TemporaryFolder folder;
  const std::string file = folder / "passwd";
  write_file(file, users);
  return in_child([&]() -> std::string {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, "") != 0 ||
        mount(file.c_str(), "/etc/passwd", nullptr, MS_BIND, nullptr) != 0) {
      return "no mounts";
    }
    const gid_t groups[] = {4, 27};
    setgroups(2, groups);
    const Status become = become_nobody();
    return become ? user() : become.error().text;
  });
}

TEST(BecomeNobody, AsRoot_ChangesAllIdsAndGroups) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string root = "root:x:0:0:root:/root:/bin/sh\n";
  const std::string first = become_nobody_among(root);
  if (first == "no mounts") GTEST_SKIP() << "needs mounts of its own";
  EXPECT_EQ(first, kNobody);
  EXPECT_EQ(become_nobody_among(""), kNobody);
  EXPECT_EQ(become_nobody_among(root + "_knockd:x:990:991::/:/usr/sbin/nologin\n"),
            "uids 990 990 990, gids 991 991 991, 0 groups");
  EXPECT_EQ(become_nobody_among("x_knockd:x:1:1::/:\n_knockd2:x:2:2::/:\n"), kNobody);
}

TEST(BecomeNobody, NeverBecomesRootByName) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const char* line : {"_knockd:x:0:0::/:\n", "_knockd:x:990:0::/:\n", "_knockd:x::\n"}) {
    const std::string became = become_nobody_among(line);
    if (became == "no mounts") GTEST_SKIP() << "needs mounts of its own";
    EXPECT_EQ(became, kNobody) << line;
  }
}

TEST(BecomeNobody, AsRoot_CannotBeUndone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([] {
              if (const Status become = become_nobody(); !become) return become.error().text;
              const bool back = seteuid(0) == 0 || setuid(0) == 0 || setgid(0) == 0;
              const bool reads = access("/proc/1/environ", R_OK) == 0;
              return std::string(back || reads ? "came back" : "stayed");
            }),
            "stayed");
}

TEST(BecomeNobody, AsAnotherUser_DoesNothing) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to be someone else";
  EXPECT_EQ(in_child([] {
              if (setgroups(0, nullptr) != 0 || setgid(1234) != 0 || setuid(1234) != 0) {
                return std::string("could not become 1234");
              }
              const Status become = become_nobody();
              return become ? user() : become.error().text;
            }),
            "uids 1234 1234 1234, gids 1234 1234 1234, 0 groups");
}

// A container with a single user id has no user nobody.
TEST(BecomeNobody, AsRootOfAContainerWithoutNobody_DoesNothing) {
  const auto write_to = [](const char* path, const char* text) {
    const int fd = open(path, O_WRONLY);
    const bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;
    close(fd);
    return done;
  };
  const std::string said = in_child([&] {
    if (unshare(CLONE_NEWUSER) != 0) return std::string("no user namespace");
    if (!write_to("/proc/self/uid_map", "0 0 1") || !write_to("/proc/self/setgroups", "deny") ||
        !write_to("/proc/self/gid_map", "0 0 1")) {
      return std::string("no user namespace");
    }
    const Status become = become_nobody();
    return become ? format("uid %u", getuid()) : become.error().text;
  });
  if (said == "no user namespace") GTEST_SKIP() << said;
  EXPECT_EQ(said, "uid 0");
}

}  // namespace
}  // namespace knockd
