// SPDX-License-Identifier: MIT
#include "knockd/listener/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "knockd/base/privileges.h"

#ifdef KNOCKD_SANDBOX
#include <linux/net.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "knockd/base/system_call_filter.h"
#endif

namespace knockd {
namespace {

#ifdef KNOCKD_SANDBOX
// Called before the change of user, which drops the right to do so. A process without the right (of
// an ordinary user) keeps the set, which is useless with no_new_privs.
Status empty_bounding_set() {
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL || errno == EPERM) return {};  // no more capabilities in this kernel
    return fault_of("PR_CAPBSET_DROP");
  }
  return {};
}

scmp_arg_cmp is(unsigned argument, int value) {
  return has_bits(argument, 0xffffffff, static_cast<uint32_t>(value));
}

void allow_memory_and_time(SystemCallFilter& filter) {
  // Only new memory, not executable (mprotect is not allowed at all).
#if defined(__s390__)
  filter.allow({SCMP_SYS(mmap), SCMP_SYS(mmap2)});  // its arguments are in memory
#else
#ifdef __NR_mmap2
  constexpr int kMap = SCMP_SYS(mmap2);
#else
  constexpr int kMap = SCMP_SYS(mmap);
#endif
  filter.allow({kMap}, {has_bits(2, PROT_EXEC, 0), has_bits(3, MAP_ANONYMOUS, MAP_ANONYMOUS)});
#endif
  filter.allow(
      {SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(getrandom)});
  filter.allow({SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_nanosleep),
                SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(nanosleep), SCMP_SYS(restart_syscall),
                SCMP_SYS(gettimeofday), SCMP_SYS(time)});
  // futex: only wait and wake (0, 1), private or not.
  filter.allow({SCMP_SYS(futex), SCMP_SYS(futex_time64)}, {has_bits(1, ~uint32_t{129}, 0)});
  filter.allow({SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn), SCMP_SYS(rt_sigprocmask),
                SCMP_SYS(getpid), SCMP_SYS(exit), SCMP_SYS(exit_group)});
}

void allow_descriptors(SystemCallFilter& filter, const SandboxDescriptors& descriptors) {
  filter.allow({SCMP_SYS(read), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64),
                SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
                SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_settime64), SCMP_SYS(close)});
  // A write to the capture would send a packet.
  filter.allow({SCMP_SYS(write), SCMP_SYS(recv), SCMP_SYS(recvfrom)}, {is(0, descriptors.channel)});
  const auto capture = is(0, descriptors.capture);
  for (const int option : {SO_ATTACH_FILTER, SO_DETACH_FILTER}) {
    filter.allow({SCMP_SYS(setsockopt)}, {capture, is(1, SOL_SOCKET), is(2, option)});
  }
  // libpcap checks whether its device is down or gone, and counts packets.
  filter.allow({SCMP_SYS(getsockopt), SCMP_SYS(getsockname)}, {capture});
  filter.allow({SCMP_SYS(ioctl)}, {capture, is(1, SIOCGIFFLAGS)});
}

#ifdef __NR_socketcall
// Where socketcall(2) multiplexes the socket calls, hiding their arguments from filters, libseccomp
// allows each of the calls above with any arguments. Setting options must not be allowed that way.
int forbid_hidden_options() {
  const scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
  if (context == nullptr) return -ENOMEM;
  const scmp_arg_cmp set_option = is(0, SYS_SETSOCKOPT);
  int status =
      seccomp_rule_add_array(context, SCMP_ACT_KILL_PROCESS, __NR_socketcall, 1, &set_option);
  if (status == 0) status = seccomp_load(context);
  seccomp_release(context);
  return status;
}
#endif

Status allow_few_system_calls(const SandboxDescriptors& descriptors) {
  int status = 0;
#ifdef __NR_socketcall
  status = forbid_hidden_options();
#endif
  if (status == 0) {
    // The calls needed to turn frames into messages, including those of the C library for memory
    // and time. Any other call ends the process.
    SystemCallFilter filter(SCMP_ACT_KILL_PROCESS);
    allow_memory_and_time(filter);
    allow_descriptors(filter, descriptors);
    status = filter.load();
  }
  // Some routers' kernels lack seccomp; the other restrictions still apply.
  if (status != 0 && status != -EINVAL && status != -ENOSYS && status != -ECANCELED) {
    errno = -status;
    return fault_of("seccomp");
  }
  return {};
}
#endif

// After the change of user, which clears the death signal. No listener must outlive its keeper.
Status give_up_rights([[maybe_unused]] const SandboxDescriptors& descriptors) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return fault_of("PR_SET_PDEATHSIG");
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return fault_of("PR_SET_DUMPABLE");
  // No more descriptors can be opened, as the standard streams occupy the remaining numbers. Not 0:
  // poll() refuses more descriptors than the limit, and libpcap polls one or two.
  if (Status done = limit_resource(RLIMIT_NOFILE, STDERR_FILENO + 1, "RLIMIT_NOFILE"); !done) {
    return done;
  }
  if (Status done = limit_resource(RLIMIT_NPROC, 0, "RLIMIT_NPROC"); !done) return done;
  if (Status done = limit_resource(RLIMIT_FSIZE, 0, "RLIMIT_FSIZE"); !done) return done;
  if (Status done = limit_resource(RLIMIT_CORE, 0, "RLIMIT_CORE"); !done) return done;
#ifdef KNOCKD_SANDBOX
  return allow_few_system_calls(descriptors);
#else
  return {};
#endif
}

}  // namespace

Status enter_sandbox(const SandboxDescriptors& descriptors) {
  if (chdir("/") != 0) return fault_of("chdir");
#ifdef KNOCKD_SANDBOX
  if (Status discarded = discard_standard_streams(); !discarded) return discarded;
  if (Status emptied = empty_bounding_set(); !emptied) return emptied;
#endif
  if (Status become = become_nobody(); !become) return become;
  if (Status given_up = give_up_capabilities(); !given_up) return given_up;
  return give_up_rights(descriptors);
}

}  // namespace knockd
