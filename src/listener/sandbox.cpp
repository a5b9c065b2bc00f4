// SPDX-License-Identifier: MIT
#include "knockd/listener/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "knockd/base/privileges.h"

#ifdef KNOCKD_SANDBOX
#include <cap-ng.h>
#include <seccomp.h>
#endif

namespace knockd {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void check(int status, const char* what) {
  if (status != 0) fail(what);
}

#ifdef KNOCKD_SANDBOX
void silence_standard_streams() {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail("/dev/null");
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (dup2(null, fd) < 0) fail("dup2");
  }
  if (null > STDERR_FILENO) close(null);
}
#endif

void limit(int resource, rlim_t most, const char* what) {
  const rlimit limit{most, most};
  check(setrlimit(static_cast<__rlimit_resource_t>(resource), &limit), what);
}

#ifdef KNOCKD_SANDBOX
void drop_capabilities() {
  capng_clear(CAPNG_SELECT_BOTH);
  // The bounding set can only be emptied with CAP_SETPCAP; without it, no_new_privs does.
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) fail("capng_apply");
  if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE) {
    errno = EPERM;
    fail("capabilities are left");
  }
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

void allow_few_system_calls() {
  const scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (context == nullptr) fail("seccomp_init");
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
    fail("seccomp");
  }
}
#endif

}  // namespace

void enter_sandbox() {
  check(chdir("/"), "chdir");
#ifdef KNOCKD_SANDBOX
  silence_standard_streams();
#endif
  become_nobody();
  // After the change of user, which clears it: no listener outlives its keeper.
  check(prctl(PR_SET_PDEATHSIG, SIGKILL), "PR_SET_PDEATHSIG");
  check(prctl(PR_SET_DUMPABLE, 0), "PR_SET_DUMPABLE");
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
#ifdef KNOCKD_SANDBOX
  drop_capabilities();
#endif
  // Nothing more can be opened, with the standard streams in the places that are left. Not 0:
  // poll() refuses more descriptors than the limit, and libpcap polls one or two.
  limit(RLIMIT_NOFILE, STDERR_FILENO + 1, "RLIMIT_NOFILE");
  limit(RLIMIT_NPROC, 0, "RLIMIT_NPROC");
  limit(RLIMIT_FSIZE, 0, "RLIMIT_FSIZE");
  limit(RLIMIT_CORE, 0, "RLIMIT_CORE");
#ifdef KNOCKD_SANDBOX
  allow_few_system_calls();
#endif
}

}  // namespace knockd
