// SPDX-License-Identifier: MIT
// Gives up what a process inherited: rights, descriptors, signal settings.
#pragma once

#include <sys/resource.h>

#include "knockd/base/result.h"

namespace knockd {

// Opens /dev/null where a standard stream is missing, lest a file of ours take its place and get
// what is printed.
void fill_standard_streams();

// Puts /dev/null in the place of the standard streams, so that nobody waits for their end.
Status discard_standard_streams();

// Default signals, none blocked, whatever the parent had ignored or blocked: an ignored SIGCHLD
// would outlive exec, and the end of a child then be noticed by nobody (signal(7), wait(2)).
void reset_signals();

// Closes every descriptor but the standard streams and `keep`.
void close_inherited(int keep);

// As root: changes for good to the user `_knockd` of /etc/passwd and its group, or where there is
// none to user and group 65534, without other groups; with capabilities in use, those are lost with
// it. As anyone else, or where a container's root may not: does nothing. Tells if it should have
// worked and did not.
Status become_nobody();

// Gives up every capability for good, also those that an ordinary user was given (ambient ones),
// and what set-user-id programs would bring.
Status give_up_capabilities();

// Sets the soft and the hard limit (setrlimit(2)); `name` is for the error.
Status limit_resource(decltype(RLIMIT_CORE) resource, rlim_t most, const char* name);

}  // namespace knockd
