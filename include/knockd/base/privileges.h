// SPDX-License-Identifier: MIT
// Drops what a process inherited: privileges, descriptors, signal settings.
#pragma once

#include <sys/resource.h>

#include "knockd/base/result.h"

namespace knockd {

// Opens /dev/null for each closed standard stream; else a file opened later would get its number
// and receive what is printed.
void fill_standard_streams();

// Replaces the standard streams with /dev/null, so that no reader waits for their end.
Status discard_standard_streams();

// Resets all signals to their defaults and unblocks them. An ignored SIGCHLD would survive exec,
// and the end of a child would go unnoticed (signal(7), wait(2)).
void reset_signals();

// Closes every descriptor except the standard streams and `keep`.
void close_inherited(int keep);

// As root: changes permanently to the user `_knockd` of /etc/passwd and its group, or without one
// to user and group 65534; drops supplementary groups and the capabilities in use. As another user,
// or where a container's root may not: does nothing. Reports a failure if it should have worked.
Status become_nobody();

// Drops every capability permanently, also ambient ones that an ordinary user was given, and those
// that set-user-id programs would grant.
Status give_up_capabilities();

// Sets the soft and hard limits (setrlimit(2)); `name` is for the error.
Status limit_resource(decltype(RLIMIT_CORE) resource, rlim_t most, const char* name);

}  // namespace knockd
