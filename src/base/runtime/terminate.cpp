// SPDX-License-Identifier: MIT
// What a static libstdc++ brings only to print the type of an exception that nobody caught: a
// demangler of 50 kB. Our programs catch theirs in main(), so nobody would read it. libstdc++ keeps
// its choice in this one variable; where it finds the variable defined, its own is not linked.
#include <cstdlib>
#include <exception>

namespace __cxxabiv1 {  // NOLINT: the name is libstdc++'s
extern std::terminate_handler __terminate_handler;  // NOLINT
std::terminate_handler __terminate_handler = std::abort;
}  // namespace __cxxabiv1
