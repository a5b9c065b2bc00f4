// SPDX-License-Identifier: MIT
// Linked into everything that the coverage preset builds. exit() writes the counters, but child
// processes end with _exit(). Here _exit() and an exec of a descriptor write them too. The linker
// (--wrap) redirects the calls here.
#include <unistd.h>

extern "C" {

void __gcov_dump();
void __gcov_reset();
[[noreturn]] void __real__exit(int status);
int __real_fexecve(int program, char* const* arguments, char* const* environment);

[[noreturn]] void __wrap__exit(int status) {
  __gcov_dump();
  __real__exit(status);
}

int __wrap_fexecve(int program, char* const* arguments, char* const* environment) {
  __gcov_dump();
  __gcov_reset();  // or they would count twice if it fails
  return __real_fexecve(program, arguments, environment);
}

}  // extern "C"
