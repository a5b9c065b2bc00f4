// SPDX-License-Identifier: MIT
#include "knockd/control/control_path.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "knockd/base/file_calls.h"
#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr char kName[] = "control";

bool is_ours(const char* folder) {
  struct stat status {};
  return stat(folder, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

}  // namespace

std::string control_path_of_root() { return std::string(kControlFolder) + '/' + kName; }

std::string control_path(const std::string& configured, const std::string& pid_file) {
  if (!configured.empty()) return configured;
  if (geteuid() == 0 || is_ours(kControlFolder)) return control_path_of_root();
  return folder_of(pid_file) + "/knockd." + kName;
}

Result<SocketPlace> place_of_socket(const std::string& path) {
  SocketPlace place;
  place.folder.reset(open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!place.folder) return fault_of(folder_of(path).c_str());
  std::string name = path;
  if (name.size() >= sizeof(place.address.sun_path)) {
    name = format("/proc/self/fd/%d/", place.folder.get()) + path.substr(path.rfind('/') + 1);
  }
  if (name.size() >= sizeof(place.address.sun_path)) {
    errno = ENAMETOOLONG;
    return fault_of(path.c_str());
  }
  place.address.sun_family = AF_UNIX;
  name.copy(place.address.sun_path, sizeof(place.address.sun_path) - 1);
  return place;
}

}  // namespace knockd
