/* SPDX-License-Identifier: MIT */
/* Preloaded into the daemon: ends its listener on the way into the sandbox while the file that
 * LD_KN_DIES names exists. LD_KN_HOW=call makes a system call that the sandbox does not allow, as
 * another C library might; LD_KN_HOW=exit exits without a message. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_to_die(const char* how) {
  const char* const wanted = getenv("LD_KN_HOW");
  const char* const file = getenv("LD_KN_DIES");
  return wanted && file && !strcmp(wanted, how) && access(file, F_OK) == 0;
}

int seccomp_load(void* context) {
  int (*const load)(void*) = (int (*)(void*))dlsym(RTLD_NEXT, "seccomp_load");
  const int dies = is_to_die("call");
  const int status = load(context);
  if (dies) syscall(SYS_getppid);
  return status;
}

int prctl(int operation, ...) {
  unsigned long more[4];
  va_list arguments;
  va_start(arguments, operation);
  for (int i = 0; i < 4; ++i) more[i] = va_arg(arguments, unsigned long);
  va_end(arguments);
  if (operation == PR_SET_DUMPABLE && is_to_die("exit")) _exit(7);
  return (int)syscall(SYS_prctl, operation, more[0], more[1], more[2], more[3]);
}
