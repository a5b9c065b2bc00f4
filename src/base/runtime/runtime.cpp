// SPDX-License-Identifier: MIT
// The C++ runtime of programs that never throw; linked only where libstdc++ is linked statically.
//
// knockd neither throws nor catches: it is compiled with -fno-exceptions. libstdc++'s own functions
// throw only when memory runs out or on a bug (an index past the end); uncaught, that ends the
// program. This runtime also ends it and prints why, and saves 40 kB: the unwinder, table readers
// and exception types of libstdc++ and libgcc. The keeper's state file and the supervisor of the
// listeners are made for programs that end at any point.
//
// All definitions are weak and precede the archives: the linker omits the parts of libstdc++ that
// they replace; where it links such a part anyway, the part's own definitions win.
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>  // bits/functexcept.h
#include <new>
#include <string>

#define KNOCKD_WEAK __attribute__((weak))

namespace {

[[noreturn]] void give_up(const char* why) {
  // One write, because several processes may share the terminal; allocates no memory.
  char line[128] = "fatal: ";
  std::strncat(line, why, sizeof(line) - std::strlen(line) - 2);
  std::strcat(line, "\n");
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, std::strlen(line));
  std::abort();
}

void* memory(std::size_t size) { return std::malloc(size == 0 ? 1 : size); }

void* memory_or_end(std::size_t size) {
  void* const bytes = memory(size);
  if (bytes == nullptr) give_up("out of memory");
  return bytes;
}

}  // namespace

// ---------------------------------------------------------------------------------------------
// Allocation functions, which [new.delete] lets a program define. No type here needs more alignment
// than malloc() gives.

KNOCKD_WEAK void* operator new(std::size_t size) { return memory_or_end(size); }
KNOCKD_WEAK void* operator new[](std::size_t size) { return memory_or_end(size); }
KNOCKD_WEAK void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return memory(size);
}
KNOCKD_WEAK void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return memory(size);
}
KNOCKD_WEAK void operator delete(void* bytes) noexcept { std::free(bytes); }
KNOCKD_WEAK void operator delete[](void* bytes) noexcept { std::free(bytes); }
KNOCKD_WEAK void operator delete(void* bytes, std::size_t) noexcept { std::free(bytes); }
KNOCKD_WEAK void operator delete[](void* bytes, std::size_t) noexcept { std::free(bytes); }
KNOCKD_WEAK void operator delete(void* bytes, const std::nothrow_t&) noexcept { std::free(bytes); }
KNOCKD_WEAK void operator delete[](void* bytes, const std::nothrow_t&) noexcept {
  std::free(bytes);
}

// ---------------------------------------------------------------------------------------------
// The functions that libstdc++'s templates and functions call to throw (bits/functexcept.h). All of
// libstdc++'s object file must be here, or that file would be linked.

namespace std {  // NOLINT: these names are libstdc++'s

KNOCKD_WEAK void terminate() noexcept { std::abort(); }
KNOCKD_WEAK void __throw_bad_exception() { give_up("bad_exception"); }
KNOCKD_WEAK void __throw_bad_alloc() { give_up("out of memory"); }
KNOCKD_WEAK void __throw_bad_array_new_length() { give_up("out of memory"); }
KNOCKD_WEAK void __throw_bad_cast() { give_up("bad_cast"); }
KNOCKD_WEAK void __throw_bad_typeid() { give_up("bad_typeid"); }
KNOCKD_WEAK void __throw_bad_function_call() { give_up("bad_function_call"); }
KNOCKD_WEAK void __throw_logic_error(const char* why) { give_up(why); }
KNOCKD_WEAK void __throw_domain_error(const char* why) { give_up(why); }
KNOCKD_WEAK void __throw_invalid_argument(const char* why) { give_up(why); }
KNOCKD_WEAK void __throw_length_error(const char* why) { give_up(why); }
KNOCKD_WEAK void __throw_out_of_range(const char* why) { give_up(why); }
KNOCKD_WEAK __attribute__((format(printf, 1, 2))) void __throw_out_of_range_fmt(const char* format,
                                                                                ...) {
  char why[100];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof(why), format, arguments);
  give_up(why);
}
KNOCKD_WEAK void __throw_runtime_error(const char* why) { give_up(why); }
KNOCKD_WEAK void __throw_range_error(const char* why) { give_up(why); }
KNOCKD_WEAK void __throw_overflow_error(const char* why) { give_up(why); }
KNOCKD_WEAK void __throw_underflow_error(const char* why) { give_up(why); }

}  // namespace std

// ---------------------------------------------------------------------------------------------
// Symbols that compiled parts of libstdc++ use in their tables and landing pads (Itanium C++ ABI,
// level II; for ARM the Exception Handling ABI, 8). As nothing throws, they are never called.

extern "C" {

KNOCKD_WEAK int __gxx_personality_v0() { std::abort(); }
KNOCKD_WEAK void* __cxa_begin_catch(void*) { std::abort(); }
KNOCKD_WEAK void __cxa_end_catch() { std::abort(); }
KNOCKD_WEAK void __cxa_rethrow() { std::abort(); }
KNOCKD_WEAK void __cxa_call_unexpected(void*) { std::abort(); }
KNOCKD_WEAK void __cxa_pure_virtual() { give_up("pure virtual function called"); }
KNOCKD_WEAK void _Unwind_Resume(void*) { std::abort(); }
#ifdef __arm__
KNOCKD_WEAK void __cxa_end_cleanup() { std::abort(); }
KNOCKD_WEAK int __aeabi_unwind_cpp_pr0() { std::abort(); }
KNOCKD_WEAK int __aeabi_unwind_cpp_pr1() { std::abort(); }
KNOCKD_WEAK int __aeabi_unwind_cpp_pr2() { std::abort(); }
#endif

}  // extern "C"
