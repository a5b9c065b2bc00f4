// SPDX-License-Identifier: MIT
// Linked into the daemon that the coverage preset builds: its listener must be able to write the
// counters when it ends. The linker (--wrap) redirects the calls here.
#include <sys/resource.h>

extern "C" {

int __real_setrlimit(__rlimit_resource_t resource, const rlimit* limit);

int __wrap_setrlimit(__rlimit_resource_t resource, const rlimit* limit) {
  if (resource == RLIMIT_FSIZE || resource == RLIMIT_NOFILE) return 0;
  return __real_setrlimit(resource, limit);
}

}  // extern "C"
