// SPDX-License-Identifier: MIT
#include "knockd/base/result.h"

#include <cerrno>
#include <cstring>

namespace knockd {

Fault fault_of(const char* what) {
  const char* const why = std::strerror(errno);
  return {std::string(what) + ": " + why};
}

}  // namespace knockd
