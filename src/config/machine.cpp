// SPDX-License-Identifier: MIT
// The checks' view of the real machine.
#include <net/if.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "knockd/base/text.h"
#include "knockd/config/check.h"

namespace knockd {
namespace {

bool is_executable(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

bool Machine::has_program(const std::string& name) const {
  if (name.find('/') != std::string::npos) return is_executable(name);
  const char* const path = ::getenv("PATH");
  for (const std::string_view folder :
       split(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':')) {
    // An empty part of PATH is the current folder.
    if (is_executable((folder.empty() ? "." : std::string(folder)) + '/' + name)) return true;
  }
  return false;
}

std::optional<unsigned> Machine::file_mode(const std::string& path) const {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_mode & 07777u;
}

bool Machine::has_interface(const std::string& name) const {
  return ::if_nametoindex(name.c_str()) != 0;
}

}  // namespace knockd
