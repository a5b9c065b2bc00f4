// SPDX-License-Identifier: MIT
// Where the control socket is, for the daemon that makes it and for those who ask.
#pragma once

#include <sys/un.h>

#include <string>

#include "knockd/base/result.h"
#include "knockd/base/run_folder.h"
#include "knockd/base/unique_fd.h"

namespace knockd {

// The folder of the default socket.
inline constexpr const char* kControlFolder = kRunFolder;

std::string control_path_of_root();

// `configured`: what Control says, if it does. Else /run/knockd/control for root and for the user
// to whom that folder belongs; for others beside the pid file.
std::string control_path(const std::string& configured, const std::string& pid_file);

// The address of a path. One that is too long for an address is reached through a descriptor of its
// folder.
struct SocketPlace {
  UniqueFd folder;
  sockaddr_un address{};
};
Result<SocketPlace> place_of_socket(const std::string& path);

}  // namespace knockd
