// SPDX-License-Identifier: MIT
// knockd, the port-knocking daemon.
#include <cstdio>

#include "knockd/app/command_line.h"
#include "knockd/app/daemon.h"
#include "knockd/base/privileges.h"
#include "knockd/listener/fresh_listener.h"

int main(int argc, char** argv) {
  knockd::reset_signals();
  knockd::fill_standard_streams();
  if (knockd::is_fresh_listener(argc, argv)) return knockd::run_fresh_listener();
  const auto line = knockd::parse_command_line(argc, argv);
  if (line) return knockd::run_task(*line);
  std::fprintf(stderr, "knockd: %s\nusage: knockd [options]; try knockd --help\n",
               line.error().text.c_str());
  return 1;
}
