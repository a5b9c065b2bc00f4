// SPDX-License-Identifier: MIT
#include "knockd/listener/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "knockd/base/privileges.h"

#ifdef KNOCKD_SANDBOX
#include <cap-ng.h>
#include <seccomp.h>
#endif

namespace knockd {
namespace {

// Each step says what failed, with errno; null if nothing did.
using Step = const char*;

Step limit(int resource, rlim_t most, const char* what) {
  const rlimit limit{most, most};
  return setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0 ? nullptr : what;
}

#ifdef KNOCKD_SANDBOX
Step silence_standard_streams() {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return "/dev/null";
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (dup2(null, fd) < 0) return "dup2";
  }
  if (null > STDERR_FILENO) close(null);
  return nullptr;
}

Step drop_capabilities() {
  capng_clear(CAPNG_SELECT_BOTH);
  // The bounding set can only be emptied with CAP_SETPCAP; without it, no_new_privs does.
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) return "capng_apply";
  if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE) {
    errno = EPERM;
    return "capabilities are left";
  }
  return nullptr;
}

// What turning frames into messages takes; the C library's memory and time included.
constexpr int kAllowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recv),
    SCMP_SYS(send),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_settime64),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),
    SCMP_SYS(getsockname),  // libpcap, to learn whether its device is down or gone
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(mmap2),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(futex_time64),
    SCMP_SYS(close),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
};

Step allow_few_system_calls() {
  const scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (context == nullptr) return "seccomp_init";
  int status = 0;
  for (const int call : kAllowed) {
    // A call that this architecture does not have needs no permission.
    const int added = seccomp_rule_add(context, SCMP_ACT_ALLOW, call, 0);
    if (added != 0 && added != -EDOM) status = added;
  }
  // For the same question libpcap asks for the device's flags; no other ioctl.
  const scmp_arg_cmp flags_request{1, SCMP_CMP_MASKED_EQ, 0xffffffff, SIOCGIFFLAGS};
  const int flags_added =
      seccomp_rule_add_array(context, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &flags_request);
  if (flags_added != 0) status = flags_added;
  if (status == 0) status = seccomp_load(context);
  seccomp_release(context);
  // A kernel without seccomp (some routers) still has all the rest.
  if (status != 0 && status != -EINVAL && status != -ENOSYS && status != -ECANCELED) {
    errno = -status;
    return "seccomp";
  }
  return nullptr;
}
#endif

// After the change of user, which clears the death signal: no listener outlives its keeper.
Step give_up_rights() {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return "PR_SET_PDEATHSIG";
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return "PR_SET_DUMPABLE";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "PR_SET_NO_NEW_PRIVS";
#ifdef KNOCKD_SANDBOX
  if (Step failed = drop_capabilities()) return failed;
#endif
  // Nothing more can be opened, with the standard streams in the places that are left. Not 0:
  // poll() refuses more descriptors than the limit, and libpcap polls one or two.
  if (Step failed = limit(RLIMIT_NOFILE, STDERR_FILENO + 1, "RLIMIT_NOFILE")) return failed;
  if (Step failed = limit(RLIMIT_NPROC, 0, "RLIMIT_NPROC")) return failed;
  if (Step failed = limit(RLIMIT_FSIZE, 0, "RLIMIT_FSIZE")) return failed;
  if (Step failed = limit(RLIMIT_CORE, 0, "RLIMIT_CORE")) return failed;
#ifdef KNOCKD_SANDBOX
  if (Step failed = allow_few_system_calls()) return failed;
#endif
  return nullptr;
}

}  // namespace

std::optional<Fault> enter_sandbox() {
  if (chdir("/") != 0) return fault_of("chdir");
#ifdef KNOCKD_SANDBOX
  if (Step failed = silence_standard_streams()) return fault_of(failed);
#endif
  if (auto fault = become_nobody()) return fault;
  if (Step failed = give_up_rights()) return fault_of(failed);
  return std::nullopt;
}

}  // namespace knockd
