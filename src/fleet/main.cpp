// SPDX-License-Identifier: MIT
// knockd-fleet: one knock, every gateway. Reads its configuration, drops its privileges, and
// follows daemon and broker until a signal ends it.
#include <getopt.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/log.h"
#include "knockd/base/privileges.h"
#include "knockd/base/refused_option.h"
#include "knockd/base/text.h"
#include "knockd/fleet/fleet.h"
#include "knockd/fleet/fleet_config.h"
#include "knockd/fleet/sandbox.h"

namespace knockd {
namespace {

constexpr char kUsage[] =
    "usage: knockd-fleet [options]\n"
    "options:\n"
    "  -c, --config <file>    configuration file (default " KNOCKD_SYSCONFDIR
    "/knockd-fleet.conf)\n"
    "  -t, --test             check the configuration and leave\n"
    "  -V, --version          print the version\n"
    "  -h, --help             print this\n";

constexpr char kShortOptions[] = ":c:tVh";
constexpr option kOptions[] = {{"config", required_argument, nullptr, 'c'},
                               {"test", no_argument, nullptr, 't'},
                               {"version", no_argument, nullptr, 'V'},
                               {"help", no_argument, nullptr, 'h'},
                               {nullptr, 0, nullptr, 0}};

int fail(const std::string& why) {
  std::fprintf(stderr, "knockd-fleet: %s\n", why.c_str());
  return 1;
}

void set_sinks(Log& log, const FleetConfig& config) {
  std::vector<std::unique_ptr<LogSink>> sinks;
  if (config.use_syslog) sinks.push_back(make_syslog_sink("/dev/log", "knockd-fleet"));
  int error = 0;
  if (!config.log_file.empty()) sinks.push_back(make_file_sink(config.log_file, error));
  if (sinks.empty()) sinks.push_back(make_descriptor_sink(STDERR_FILENO));
  log.set_sinks(std::move(sinks));
  if (error != 0) log.warning(printable(config.log_file) + ": " + strerror(error) + " (LogFile)");
}

int run(const FleetConfig& config) {
  if (geteuid() == 0) {
    return fail(
        "started as root, and needs no rights: expected an ordinary user who is a member "
        "of knockd's Control_Group");
  }
  EventLoop loop;
  Log log;
  set_sinks(log, config);
  loop.watch_signals({SIGTERM, SIGINT, SIGHUP}, [&](int number) {
    if (number == SIGHUP) return log.reopen();
    log.notice("shutting down");
    loop.stop();
  });
  if (loop.fault()) return fail(loop.fault()->text);
  if (Status shut_in = enter_fleet_sandbox(); !shut_in) return fail(shut_in.error().text);
  log.notice("starting up: gateway " + config.gateway + " of fleet " + config.fleet);
  Fleet fleet(loop, log, config);
  fleet.start();
  loop.run();
  fleet.stop();
  return 0;
}

int start(int argc, char** argv) {
  std::string file = kDefaultFleetConfig;
  bool is_test = false;
  opterr = 0;
  for (;;) {
    const int option = getopt_long(argc, argv, kShortOptions, kOptions, nullptr);
    if (option == -1) break;
    switch (option) {
      case 'c':
        file = optarg;
        break;
      case 't':
        is_test = true;
        break;
      case 'V':
        std::puts("knockd-fleet " KNOCKD_VERSION);
        return 0;
      case 'h':
        std::fputs(kUsage, stdout);
        return 0;
      default:
        return fail(refused_option(option, argv, kShortOptions, kOptions) +
                    "\nusage: knockd-fleet [options]; try knockd-fleet --help");
    }
  }
  if (optind < argc) return fail("unexpected argument \"" + printable(argv[optind]) + '"');
  const auto config = load_fleet_config(file);
  if (!config) {
    for (const Complaint& complaint : config.error()) {
      std::fprintf(stderr, "%s\n", complaint.to_string().c_str());
    }
    return 1;
  }
  if (!is_test) return run(*config);
  std::puts("configuration OK");
  return 0;
}

}  // namespace
}  // namespace knockd

int main(int argc, char** argv) {
  knockd::reset_signals();
  signal(SIGPIPE, SIG_IGN);  // libraries write to connections that may be gone
  knockd::fill_standard_streams();
  return knockd::start(argc, argv);
}
