// SPDX-License-Identifier: MIT
// knockd, the port-knocking daemon.
#include <cstdio>

#include "knockd/app/command_line.h"
#include "knockd/app/daemon.h"
#include "knockd/base/privileges.h"

int main(int argc, char** argv) {
  knockd::fill_standard_streams();
  try {
    return knockd::run_task(knockd::parse_command_line(argc, argv));
  } catch (const knockd::UsageError& error) {
    std::fprintf(stderr, "knockd: %s\n%s", error.what(), knockd::kUsage);
    return 1;
  }
}
