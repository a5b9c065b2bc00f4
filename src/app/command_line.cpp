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
    "      --status           tell who is in, and how it goes; =json or =prometheus for programs\n"
    "      --close <who>      close what is open: an address, a door, a door and an address, all\n"
    "      --open <door> <address> [time]\n"
    "                         open a door by hand\n"
    "      --events           tell what happens as it happens, a JSON object a line\n"
    "      --door <name>      for --open and --close: a door that is called like an address\n"
    "      --control <path>   the socket to ask at, instead of the configuration's\n"
    "  -s, --save-mem         accepted for older scripts, does nothing\n"
    "  -V, --version          print the version\n"
    "  -h, --help             print this\n";

namespace {

constexpr char kShortOptions[] = ":i:dc:Dlp:g:v4tr:sVh";

// Options without a letter.
constexpr int kShut = 256;
constexpr int kUnshut = 257;
constexpr int kStatus = 258;
constexpr int kClose = 259;
constexpr int kOpen = 260;
constexpr int kEvents = 261;
constexpr int kDoor = 262;
constexpr int kControl = 263;

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
                               {"status", optional_argument, nullptr, kStatus},
                               {"close", no_argument, nullptr, kClose},
                               {"open", no_argument, nullptr, kOpen},
                               {"events", no_argument, nullptr, kEvents},
                               {"door", required_argument, nullptr, kDoor},
                               {"control", required_argument, nullptr, kControl},
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
  std::optional<std::string> door;
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
      case kStatus:
        set_task(CommandLine::Task::kAsk);
        line.request = {"status", optarg == nullptr ? "table" : optarg};
        break;
      case kClose:
      case kOpen:
      case kEvents:
        set_task(CommandLine::Task::kAsk);
        line.request = {option == kClose ? "close" : option == kOpen ? "open" : "events"};
        break;
      case kDoor:
        door = std::string("--door=") + optarg;
        break;
      case kControl:
        line.control = optarg;
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
  if (line.task == CommandLine::Task::kAsk) {
    if (door) line.request.push_back(*door);
    line.request.insert(line.request.end(), argv + optind, argv + argc);
    return line;
  }
  if ((door || !line.control.empty()) && line.task < CommandLine::Task::kAsk) {
    return UsageError{door ? "option --door goes with --close or --open"
                           : "option --control goes with --status, --close, --open or --events"};
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
