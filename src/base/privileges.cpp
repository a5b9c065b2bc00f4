// SPDX-License-Identifier: MIT
#include "knockd/base/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <string_view>

namespace knockd {
namespace {

struct User {
  uid_t uid;
  gid_t gid;
};

// Owns nothing, but other programs may run as nobody, too.
constexpr User kNobody{65534, 65534};
// Used by knockd only, where the installation created it.
constexpr std::string_view kOurUser = "_knockd";

// Reads the file directly: NSS would read more and could query the network.
User user_without_rights() {
  FILE* const users = fopen("/etc/passwd", "re");
  if (users == nullptr) return kNobody;
  User found = kNobody;
  while (const passwd* const user = fgetpwent(users)) {
    if (user->pw_name != kOurUser || user->pw_uid == 0 || user->pw_gid == 0) continue;
    found = {user->pw_uid, user->pw_gid};
  }
  fclose(users);
  return found;
}

// A user namespace may forbid the change (EPERM) or lack the user (EINVAL).
bool worked(int status) { return status == 0 || errno == EPERM || errno == EINVAL; }

void close_range_of(unsigned first, unsigned last) {
  if (first > last) return;
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, last, 0) == 0) return;
#endif
  // Before Linux 5.9: closes them one by one, up to the highest likely limit.
  const auto most = static_cast<unsigned>(std::clamp<long>(sysconf(_SC_OPEN_MAX), 256, 65536));
  for (unsigned fd = first; fd <= std::min(last, most); ++fd) close(static_cast<int>(fd));
}

}  // namespace

void fill_standard_streams() {
  for (int fd = 0; fd <= STDERR_FILENO;) {
    fd = open("/dev/null", O_RDWR);  // gets the lowest free number; to be inherited
    if (fd < 0) return;
    if (fd > STDERR_FILENO) close(fd);
  }
}

Status discard_standard_streams() {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return fault_of("/dev/null");
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (dup2(null, fd) < 0) return fault_of("dup2");
  }
  if (null > STDERR_FILENO) close(null);  // else it fills a closed one of the three
  return {};
}

void reset_signals() {
  // The kernel refuses SIGKILL and SIGSTOP, the C library its internal signals.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_inherited(int keep) {
  const auto kept = static_cast<unsigned>(std::max(keep, STDERR_FILENO));
  close_range_of(STDERR_FILENO + 1, kept - 1);
  close_range_of(kept + 1, UINT_MAX);
}

Status become_nobody() {
  if (geteuid() != 0) return {};
  const auto [uid, gid] = user_without_rights();
  if (!worked(setgroups(0, nullptr))) return fault_of("setgroups");
  if (!worked(setresgid(gid, gid, gid))) return fault_of("setresgid");
  if (!worked(setresuid(uid, uid, uid))) return fault_of("setresuid");
  return {};
}

Status give_up_capabilities() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fault_of("PR_SET_NO_NEW_PRIVS");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  // The kernel drops ambient capabilities with the permitted ones (capabilities(7)).
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capset, &header, none) != 0) return fault_of("capset");
  return {};
}

Status limit_resource(decltype(RLIMIT_CORE) resource, rlim_t most, const char* name) {
  const rlimit limit{most, most};
  if (setrlimit(resource, &limit) != 0) return fault_of(name);
  return {};
}

}  // namespace knockd
