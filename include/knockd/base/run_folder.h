// SPDX-License-Identifier: MIT
// Where what lives as long as the daemon is: the lock on its table, the control socket.
#pragma once

namespace knockd {

#ifdef KNOCKD_RUNDIR
inline constexpr char kRunFolder[] = KNOCKD_RUNDIR;
#else
inline constexpr char kRunFolder[] = "/run/knockd";
#endif

}  // namespace knockd
