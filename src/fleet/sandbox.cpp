// SPDX-License-Identifier: MIT
#include "knockd/fleet/sandbox.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "knockd/base/privileges.h"

#ifdef KNOCKD_SANDBOX
#include <fcntl.h>
#include <sys/mman.h>

#include "knockd/base/system_call_filter.h"
#endif

namespace knockd {
namespace {

// The library accepts messages of 256 MB from any sender, and keeps some.
constexpr rlim_t kMostMemory = rlim_t{256} << 20;  // bytes

#ifdef KNOCKD_SANDBOX

void allow_memory_and_time(SystemCallFilter& filter) {
  // Name services are libraries loaded on demand: code may be mapped only from files and without
  // write access.
  constexpr uint32_t kWriteAndRun = PROT_WRITE | PROT_EXEC;
  filter.allow({SCMP_SYS(mmap), SCMP_SYS(mmap2)}, {has_bits(2, PROT_EXEC, 0)});
  filter.allow({SCMP_SYS(mmap), SCMP_SYS(mmap2)},
               {has_bits(2, kWriteAndRun, PROT_EXEC), has_bits(3, MAP_ANONYMOUS, 0)});
  filter.allow({SCMP_SYS(mprotect)}, {has_bits(2, PROT_EXEC, 0)});
  filter.allow({SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
                SCMP_SYS(getrandom), SCMP_SYS(futex), SCMP_SYS(futex_time64)});
  filter.allow({SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_nanosleep),
                SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(nanosleep), SCMP_SYS(restart_syscall),
                SCMP_SYS(gettimeofday), SCMP_SYS(time)});
  filter.allow({SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn), SCMP_SYS(rt_sigprocmask),
                SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid),
                SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname),
                SCMP_SYS(sysinfo), SCMP_SYS(exit), SCMP_SYS(exit_group)});
}

void allow_descriptors(SystemCallFilter& filter) {
  filter.allow({SCMP_SYS(read),
                SCMP_SYS(readv),
                SCMP_SYS(pread64),
                SCMP_SYS(write),
                SCMP_SYS(writev),
                SCMP_SYS(close),
                SCMP_SYS(lseek),
                SCMP_SYS(_llseek),
                SCMP_SYS(fcntl),
                SCMP_SYS(fcntl64),
                SCMP_SYS(poll),
                SCMP_SYS(ppoll),
                SCMP_SYS(ppoll_time64),
                SCMP_SYS(select),
                SCMP_SYS(_newselect),
                SCMP_SYS(pselect6),
                SCMP_SYS(epoll_wait),
                SCMP_SYS(epoll_pwait),
                SCMP_SYS(epoll_ctl),
                SCMP_SYS(timerfd_settime),
                SCMP_SYS(timerfd_settime64),
                SCMP_SYS(ioctl)});
  filter.allow({SCMP_SYS(stat), SCMP_SYS(stat64), SCMP_SYS(lstat), SCMP_SYS(lstat64),
                SCMP_SYS(fstat), SCMP_SYS(fstat64), SCMP_SYS(newfstatat), SCMP_SYS(fstatat64),
                SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access),
                SCMP_SYS(faccessat), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
                SCMP_SYS(getdents64)});
  // Only for reading or appending.
  constexpr uint32_t kChanging = O_CREAT | O_TRUNC;
  filter.allow({SCMP_SYS(open)}, {has_bits(1, O_ACCMODE | kChanging, O_RDONLY)});
  filter.allow({SCMP_SYS(openat)}, {has_bits(2, O_ACCMODE | kChanging, O_RDONLY)});
  filter.allow({SCMP_SYS(open)}, {has_bits(1, O_APPEND | O_TRUNC, O_APPEND)});
  filter.allow({SCMP_SYS(openat)}, {has_bits(2, O_APPEND | O_TRUNC, O_APPEND)});
}

void allow_sockets(SystemCallFilter& filter) {
  filter.allow({SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(send),
                SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recv),
                SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
                SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt)});
}

Status allow_few_system_calls() {
  // Calls that name services and the TLS library try but do not need are refused without ending the
  // process.
  SystemCallFilter filter(SCMP_ACT_ERRNO(EPERM));
  allow_memory_and_time(filter);
  allow_descriptors(filter);
  allow_sockets(filter);
  // knockd-fleet never uses these.
  filter.kill({SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
               SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
               SCMP_SYS(process_vm_writev), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4)});
  const int status = filter.load();
  // Some routers' kernels lack seccomp; the other restrictions still apply.
  if (status != 0 && status != -EINVAL && status != -ENOSYS && status != -ECANCELED) {
    errno = -status;
    return fault_of("seccomp");
  }
  return {};
}
#endif

}  // namespace

Status enter_fleet_sandbox() {
  if (Status given_up = give_up_capabilities(); !given_up) return given_up;
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return fault_of("PR_SET_DUMPABLE");
  if (Status done = limit_resource(RLIMIT_NPROC, 0, "RLIMIT_NPROC"); !done) return done;
  if (Status done = limit_resource(RLIMIT_CORE, 0, "RLIMIT_CORE"); !done) return done;
#ifndef __SANITIZE_ADDRESS__  // which maps terabytes
  if (Status done = limit_resource(RLIMIT_DATA, kMostMemory, "RLIMIT_DATA"); !done) return done;
#endif
#ifdef KNOCKD_SANDBOX
  return allow_few_system_calls();
#else
  return {};
#endif
}

}  // namespace knockd
