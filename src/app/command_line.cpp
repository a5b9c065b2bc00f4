// SPDX-License-Identifier: MIT
#include "knockd/app/command_line.h"

#include <getopt.h>

#include <optional>

#include "knockd/base/refused_option.h"
#include "knockd/base/text.h"
#include "knockd/config/config.h"
#include "knockd/config/values.h"

namespace knockd {

const char kUsage[] =
    "usage: knockd [options]\n"
    "options:\n"
    "  -i, --interface <if>   listen on this interface; repeatable, a comma list, or \"any\"\n"
    "  -d, --daemon           run in the background\n"
    "  -c, --config <file>    configuration file (default " KNOCKD_SYSCONFDIR
    "/knockd.conf)\n"
    "  -D, --debug            tell what was read and what becomes of each packet, and why\n"
    "  -l, --lookup           host names in log lines (name servers learn who knocks)\n"
    "  -p, --pidfile <file>   pid file, written with -d\n"
    "  -g, --logfile <file>   log file, instead of the configuration's\n"
    "  -v, --verbose          log to standard output too\n"
    "  -4, --only-ip-v4       ignore IPv6\n"
    "  -t, --test             check the configuration and leave\n"
    "  -r, --read <file>      replay a capture (pcap or pcapng) instead of listening\n"
    "      --shut             shut the ports of all doors with Open, and leave\n"
    "      --unshut           remove the table by which they are shut, and leave\n"
    "  -s, --save-mem         accepted for older scripts, does nothing\n"
    "  -V, --version          print the version\n"
    "  -h, --help             print this\n";

namespace {

constexpr char kShortOptions[] = ":i:dc:Dlp:g:v4tr:sVh";

// Options without a letter.
constexpr int kShut = 256;
constexpr int kUnshut = 257;

constexpr option kOptions[] = {{"interface", required_argument, nullptr, 'i'},
                               {"daemon", no_argument, nullptr, 'd'},
                               {"config", required_argument, nullptr, 'c'},
                               {"debug", no_argument, nullptr, 'D'},
                               {"lookup", no_argument, nullptr, 'l'},
                               {"pidfile", required_argument, nullptr, 'p'},
                               {"logfile", required_argument, nullptr, 'g'},
                               {"verbose", no_argument, nullptr, 'v'},
                               {"only-ip-v4", no_argument, nullptr, '4'},
                               {"test", no_argument, nullptr, 't'},
                               {"read", required_argument, nullptr, 'r'},
                               {"save-mem", no_argument, nullptr, 's'},
                               {"shut", no_argument, nullptr, kShut},
                               {"unshut", no_argument, nullptr, kUnshut},
                               {"version", no_argument, nullptr, 'V'},
                               {"help", no_argument, nullptr, 'h'},
                               {nullptr, 0, nullptr, 0}};

}  // namespace

Result<CommandLine, UsageError> parse_command_line(int argc, char** argv) {
  CommandLine line;
  line.config_file = kDefaultConfigFile;
  optind = 0;  // begins anew, for a second call in one process
  opterr = 0;
  std::optional<std::string> interfaces;
  const auto set_task = [&](CommandLine::Task task) {
    // -h and -V win over whatever else is asked for.
    if (line.task == CommandLine::Task::kListen || task >= CommandLine::Task::kVersion) {
      line.task = task;
    }
  };
  for (;;) {
    const int option = getopt_long(argc, argv, kShortOptions, kOptions, nullptr);
    if (option == -1) break;
    switch (option) {
      case 'i':
        interfaces = interfaces ? *interfaces + ',' + optarg : optarg;
        break;
      case 'd':
        line.daemon = true;
        break;
      case 'c':
        line.config_file = optarg;
        break;
      case 'D':
        line.debug = true;
        break;
      case 'l':
        line.lookup = true;
        break;
      case 'p':
        line.pid_file = optarg;
        break;
      case 'g':
        line.log_file = optarg;
        break;
      case 'v':
        line.verbose = true;
        break;
      case '4':
        line.only_v4 = true;
        break;
      case 't':
        set_task(CommandLine::Task::kTest);
        break;
      case 'r':
        set_task(CommandLine::Task::kReplay);
        line.capture_file = optarg;
        break;
      case 's':
        break;
      case kShut:
        set_task(CommandLine::Task::kShut);
        break;
      case kUnshut:
        set_task(CommandLine::Task::kUnshut);
        break;
      case 'V':
        set_task(CommandLine::Task::kVersion);
        break;
      case 'h':
        set_task(CommandLine::Task::kHelp);
        break;
      default:
        return UsageError{refused_option(option, argv, kShortOptions, kOptions)};
    }
  }
  if (optind < argc) {
    return UsageError{format("unexpected argument \"%s\"", printable(argv[optind]).c_str())};
  }
  if (interfaces) {
    auto list = parse_interface_list(*interfaces);
    if (const auto* fault = std::get_if<TextFault>(&list)) {
      return UsageError{"option -i: " + fault->message};
    }
    line.interfaces = std::move(std::get<InterfaceList>(list).names);
    for (const TextFault& remark : std::get<InterfaceList>(list).remarks) {
      line.remarks.push_back("option -i: " + remark.message);
    }
  }
  return line;
}

}  // namespace knockd
