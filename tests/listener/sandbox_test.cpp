// SPDX-License-Identifier: MIT
// Each attempt to escape runs in its own child. Without the sandbox's libraries (sanitizers need
// more calls than it allows) the other measures must still hold.
#include "knockd/listener/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/listener/capture.h"
#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"
#include "tests/listener/capture_network.h"

namespace knockd {
namespace {

#ifdef KNOCKD_SANDBOX
constexpr bool kWholeSandbox = true;
#else
constexpr bool kWholeSandbox = false;
#endif

// The descriptor of the child's socket to the test, which stands for its channel.
constexpr int kChannel = 100;

// The outcome of a child that tried it: "killed by signal 31" (SIGSYS), or its reply.
std::string in_sandbox(const std::function<std::string()>& body) {
  return in_child(
      [&] {
        const Status entered = enter_sandbox({.channel = kChannel, .capture = -1});
        return entered ? body() : entered.error().text;
      },
      kChannel);
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

TEST_F(Sandbox, AllowsWhatAListenerNeeds) {
  EXPECT_EQ(in_sandbox([] {
              // What a listener always uses: memory, time, its socket.
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

TEST_F(Sandbox, NoPrivilegesCanBeGained) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to have some to lose";
  expect_impossible([] { return setuid(0) == 0 || setgroups(0, nullptr) == 0; });
}

bool become_plain_user() {
  return setgroups(0, nullptr) == 0 && setgid(1234) == 0 && setuid(1234) == 0;
}

// What `look` finds out about a waiting process in the sandbox; `before` runs before it enters.
std::string seen_from_outside(
    const std::function<std::string(pid_t)>& look,
    const std::function<bool()>& before = [] { return true; }) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return "no socket";
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    if (!before() || !enter_sandbox({.channel = ends[1], .capture = -1})) _exit(1);
    char byte = 'x';
    if (write(ends[1], &byte, 1) != 1) _exit(1);
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
    EXPECT_EQ(field(status, "CapBnd"), "0000000000000000");
    EXPECT_EQ(field(status, "Seccomp"), "2");
  }
}

TEST_F(Sandbox, StandardStreamsLeadNowhere) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to look into a process that is not dumpable";
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

TEST_F(Sandbox, LimitsForbidFilesProcessesAndCores) {
  const std::string limits =
      seen_from_outside([](pid_t pid) { return read_file(format("/proc/%d/limits", pid)); });
  // The names contain blanks, and the columns are padded with blanks.
  const auto limit = [&](std::string_view name) {
    std::istringstream line(limits.substr(std::min(limits.find(name), limits.size())));
    line.ignore(static_cast<std::streamsize>(name.size()));
    std::string soft, hard;
    line >> soft >> hard;
    return soft + '/' + hard;
  };
  EXPECT_EQ(limit("Max open files"), "3/3");
  EXPECT_EQ(limit("Max processes"), "0/0");
  EXPECT_EQ(limit("Max file size"), "0/0");
  EXPECT_EQ(limit("Max core file size"), "0/0");
}

TEST_F(Sandbox, WorkingFolderIsTheRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to look into a process that is not dumpable";
  EXPECT_EQ(seen_from_outside([](pid_t pid) {
              return std::filesystem::read_symlink(format("/proc/%d/cwd", pid)).string();
            }),
            "/");
}

// The kernel makes root the owner of such a process's files in /proc (proc(5)).
TEST_F(Sandbox, ProcessOfAPlainUserIsHiddenFromHisOtherProcesses) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to be someone else";
  const auto owner = [](pid_t pid) {
    struct stat status {};
    stat(format("/proc/%d/maps", pid).c_str(), &status);
    return std::to_string(status.st_uid);
  };
  // The state after an exec; the change of user alone would already hide it.
  const auto before = [] { return become_plain_user() && prctl(PR_SET_DUMPABLE, 1) == 0; };
  EXPECT_EQ(seen_from_outside(owner, before), "0");
}

TEST_F(Sandbox, ProcessEndsWithItsParent) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    close(ends[0]);
    char byte = 'x';
    if (fork() == 0) {
      if (!enter_sandbox({.channel = ends[1], .capture = -1})) _exit(1);
      if (write(ends[1], &byte, 1) == 1) recv(ends[1], &byte, 1, 0);
      _exit(0);
    }
    pause();
  }
  close(ends[1]);
  char byte;
  EXPECT_EQ(recv(ends[0], &byte, 1, 0), 1) << "it did not enter";
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  pollfd end{ends[0], POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 5000), 1) << "it is still there";
  close(ends[0]);
}

// The case of ambient capabilities: a plain user cannot change user, which would drop them.
TEST_F(Sandbox, CapabilitiesOfAPlainUserAreGivenUp) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to have some to lose";
  const auto before = [] { return prctl(PR_SET_KEEPCAPS, 1) == 0 && become_plain_user(); };
  const std::string status = seen_from_outside(
      [](pid_t pid) { return read_file(format("/proc/%d/status", pid)); }, before);
  EXPECT_EQ(field(status, "CapPrm"), "0000000000000000");
}

TEST_F(Sandbox, PlainUserEntersItToo) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to be someone else";
  const std::string said = in_child([] {
    if (!become_plain_user()) return std::string("could not become 1234");
    const Status entered = enter_sandbox({.channel = kChannel, .capture = -1});
    return entered ? std::string("inside") : entered.error().text;
  });
  EXPECT_EQ(said, "inside");
}

TEST_F(Sandbox, NoMemoryCanBeMadeExecutable) {
  if (!kWholeSandbox) GTEST_SKIP() << "takes the filter of system calls";
  constexpr int kNew = MAP_PRIVATE | MAP_ANONYMOUS;
  expect_impossible([] {
    return mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, kNew, -1, 0) != MAP_FAILED;
  });
  expect_impossible([] {
    void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, kNew, -1, 0);
    return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
  });
}

// Other sandboxes have been escaped through the kernel's futex queues.
TEST_F(Sandbox, FutexesOnlyWaitAndWake) {
  if (!kWholeSandbox) GTEST_SKIP() << "takes the filter of system calls";
  expect_impossible([] {
    uint32_t first = 0, second = 0;
    return syscall(SYS_futex, &first, FUTEX_REQUEUE_PRIVATE, 0, 0, &second) == 0;
  });
}

// Received descriptors would give a listener more than it began with.
TEST_F(Sandbox, NoMessageWithDescriptorsIsSentOrReceived) {
  if (!kWholeSandbox) GTEST_SKIP() << "takes the filter of system calls";
  expect_impossible([] {
    msghdr message{};
    return recvmsg(kChannel, &message, MSG_DONTWAIT) >= 0;
  });
  expect_impossible([] {
    msghdr message{};
    return sendmsg(kChannel, &message, MSG_DONTWAIT) >= 0;
  });
}

// A compromised listener with its capture of a real device.
class SandboxedCapture : public CaptureNetwork {
 protected:
  void SetUp() override {
    if (!kWholeSandbox) GTEST_SKIP() << "takes the filter of system calls";
    CaptureNetwork::SetUp();
  }

  static std::string with_capture(const std::function<bool(LiveCapture&)>& body) {
    return in_child(
        [&] {
          auto opened = LiveCapture::create("wan");
          if (!opened) return opened.error().text;
          LiveCapture& capture = *opened;
          const Status entered = enter_sandbox({.channel = kChannel, .capture = capture.fd()});
          const std::string said = entered ? done(body(capture)) : entered.error().text;
          // Ends as a listener does, without closing its capture.
          _exit(write(kChannel, said.data(), said.size()) > 0 ? 0 : 1);
        },
        kChannel);
  }
  static void expect_impossible(const std::function<bool(LiveCapture&)>& body) {
    EXPECT_EQ(with_capture(body), kKilled);
  }
  template <typename Value>
  static void expect_no_option(int level, int option, const Value& value) {
    SCOPED_TRACE(option);
    expect_impossible([&](LiveCapture& capture) {
      return setsockopt(capture.fd(), level, option, &value, sizeof(value)) == 0;
    });
  }
};

// A broadcast frame with an arbitrary source.
constexpr char kFrame[60] = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x88\xb5";

TEST_F(SandboxedCapture, NoFrameCanBeSent) {
  expect_impossible([](LiveCapture& capture) {
    return write(capture.fd(), kFrame, sizeof(kFrame)) == sizeof(kFrame);
  });
  expect_impossible([](LiveCapture& capture) {
    return send(capture.fd(), kFrame, sizeof(kFrame), 0) == sizeof(kFrame);
  });
  expect_impossible([](LiveCapture& capture) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(if_nametoindex("wan"));
    return sendto(capture.fd(), kFrame, sizeof(kFrame), 0,
                  reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == sizeof(kFrame);
  });
  expect_impossible([](LiveCapture& capture) {
    iovec part{const_cast<char*>(kFrame), sizeof(kFrame)};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    return sendmsg(capture.fd(), &message, 0) == sizeof(kFrame);
  });
  expect_impossible([](LiveCapture& capture) {
    iovec part{const_cast<char*>(kFrame), sizeof(kFrame)};
    return writev(capture.fd(), &part, 1) == sizeof(kFrame);
  });
}

TEST_F(SandboxedCapture, NoFrameCanBeSent_WithFlagBitsThatTheKernelIgnores) {
  if (sizeof(long) == 4) GTEST_SKIP() << "registers are no wider than a descriptor's number";
  expect_impossible([](LiveCapture& capture) {
    const long number = (1L << 32) | capture.fd();
    return syscall(SYS_write, number, kFrame, sizeof(kFrame)) == sizeof(kFrame);
  });
}

TEST_F(SandboxedCapture, NoOptionButTheFilterCanBeSet) {
  packet_mreq promiscuous{};
  promiscuous.mr_ifindex = 1;
  promiscuous.mr_type = PACKET_MR_PROMISC;
  expect_no_option(SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous);
  expect_no_option(SOL_PACKET, PACKET_TX_RING, tpacket_req3{});
  expect_no_option(SOL_PACKET, PACKET_RX_RING, tpacket_req3{});
  expect_no_option(SOL_PACKET, PACKET_FANOUT, 1);
  expect_no_option(SOL_PACKET, PACKET_AUXDATA, 1);
  expect_no_option(SOL_SOCKET, SO_RCVBUF, 1 << 30);
  expect_no_option(SOL_SOCKET, SO_PRIORITY, 6);
  expect_no_option(SOL_SOCKET, SO_LOCK_FILTER, 1);
  expect_no_option(SOL_PACKET, SO_ATTACH_FILTER, 1);
}

TEST_F(SandboxedCapture, NoFilterCanBeSetForTheKeepersSocket) {
  expect_impossible([](LiveCapture&) {
    sock_filter accept{BPF_RET, 0, 0, 0xffff};
    const sock_fprog program{1, &accept};
    return setsockopt(kChannel, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
  });
}

TEST_F(SandboxedCapture, NoOtherRequestToTheDeviceIsAllowed) {
  expect_impossible([](LiveCapture& capture) {
    ifreq request{};
    return ioctl(capture.fd(), SIOCGIFHWADDR, &request) == 0;
  });
  expect_impossible([](LiveCapture&) {
    ifreq request{};
    return ioctl(kChannel, SIOCGIFFLAGS, &request) == 0;
  });
}

TEST_F(SandboxedCapture, FilterFollowsNewAddresses_AndMayBeRemoved) {
  EXPECT_EQ(with_capture([](LiveCapture& capture) {
              const std::vector<FilterInstruction> nothing{{BPF_RET, 0, 0, 0}};
              const std::vector<FilterInstruction> faulty(5000, nothing[0]);
              return capture.set_filter(nothing) && !capture.set_filter(faulty);
            }),
            "worked");
}

TEST_F(SandboxedCapture, FramesAndCountsAreRead) {
  EXPECT_EQ(with_capture([](LiveCapture& capture) {
              class : public LiveCapture::Handler {
                void on_frame(const Frame&) override {}
              } handler;
              return capture.read(handler, 1) && capture.counts().dropped == 0;
            }),
            "worked");
}

}  // namespace
}  // namespace knockd
