// SPDX-License-Identifier: MIT
// The path of the control socket, for the daemon that creates it and for its callers.
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

// `configured`: the value of Control, if any. Else /run/knockd/control for root and for the owner
// of that folder; for others beside the pid file.
std::string control_path(const std::string& configured, const std::string& pid_file);

// The address of a path. A path that is too long for an address is used through a descriptor of its
// folder.
struct SocketPlace {
  UniqueFd folder;
  sockaddr_un address{};
};
Result<SocketPlace> place_of_socket(const std::string& path);

}  // namespace knockd
