// SPDX-License-Identifier: MIT
// The folder of files that exist while the daemon runs: the lock on its table, the control socket.
#pragma once

namespace knockd {

#ifdef KNOCKD_RUNDIR
inline constexpr char kRunFolder[] = KNOCKD_RUNDIR;
#else
inline constexpr char kRunFolder[] = "/run/knockd";
#endif

}  // namespace knockd
