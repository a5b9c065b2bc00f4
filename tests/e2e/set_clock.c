/* SPDX-License-Identifier: MIT
 * Preloaded: shifts a program's wall clock by the seconds in the file $SET_CLOCK, or by
 * $SET_CLOCK_BY. A listener does not have the first variable, and could not read the file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>

static long off(void) {
  const char* by = getenv("SET_CLOCK_BY");
  if (by != NULL) return atol(by);
  const char* path = getenv("SET_CLOCK");
  FILE* file = path ? fopen(path, "r") : NULL;
  long seconds = 0;
  if (file == NULL) return 0;
  if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
  fclose(file);
  return seconds;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += off();
  return result;
}

time_t time(time_t* where) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (where != NULL) *where = now.tv_sec;
  return now.tv_sec;
}

/* Only timers that are told when the clock is set are of that clock. */
int timerfd_settime(int fd, int flags, const struct itimerspec* when, struct itimerspec* before) {
  static int (*real)(int, int, const struct itimerspec*, struct itimerspec*);
  if (real == NULL) {
    real = (int (*)(int, int, const struct itimerspec*, struct itimerspec*))dlsym(
        RTLD_NEXT, "timerfd_settime");
  }
  struct itimerspec moved = *when;
  if (flags & TFD_TIMER_CANCEL_ON_SET) moved.it_value.tv_sec -= off();
  return real(fd, flags, &moved, before);
}
