// SPDX-License-Identifier: MIT
#include "knockd/app/command_line.h"

#include <optional>
#include <utility>

#include "knockd/base/option_table.h"
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

using Task = CommandLine::Task;

// The parsed options, before checks of the whole.
struct Said {
  CommandLine line;
  std::optional<std::string> interfaces;
  std::optional<std::string> door;

  void set_task(Task task) {
    // -h and -V win over all other tasks.
    if (line.task == Task::kListen || task >= Task::kVersion) line.task = task;
  }
  void ask(std::vector<std::string> request) {
    set_task(Task::kAsk);
    line.request = std::move(request);
  }
};

constexpr OptionRow<Said> kRows[] = {
    {"interface", required_argument, 'i',
     [](Said& s) { s.interfaces = s.interfaces ? *s.interfaces + ',' + optarg : optarg; }},
    {"daemon", no_argument, 'd', [](Said& s) { s.line.daemon = true; }},
    {"config", required_argument, 'c', [](Said& s) { s.line.config_file = optarg; }},
    {"debug", no_argument, 'D', [](Said& s) { s.line.debug = true; }},
    {"lookup", no_argument, 'l', [](Said& s) { s.line.lookup = true; }},
    {"pidfile", required_argument, 'p', [](Said& s) { s.line.pid_file = optarg; }},
    {"logfile", required_argument, 'g', [](Said& s) { s.line.log_file = optarg; }},
    {"verbose", no_argument, 'v', [](Said& s) { s.line.verbose = true; }},
    {"only-ip-v4", no_argument, '4', [](Said& s) { s.line.only_v4 = true; }},
    {"test", no_argument, 't', [](Said& s) { s.set_task(Task::kTest); }},
    {"read", required_argument, 'r',
     [](Said& s) {
       s.set_task(Task::kReplay);
       s.line.capture_file = optarg;
     }},
    {"save-mem", no_argument, 's', [](Said&) {}},
    {"shut", no_argument, 0, [](Said& s) { s.set_task(Task::kShut); }},
    {"unshut", no_argument, 0, [](Said& s) { s.set_task(Task::kUnshut); }},
    {"status", optional_argument, 0,
     [](Said& s) {
       s.ask({"status", optarg == nullptr ? "table" : optarg});
     }},
    {"close", no_argument, 0, [](Said& s) { s.ask({"close"}); }},
    {"open", no_argument, 0, [](Said& s) { s.ask({"open"}); }},
    {"events", no_argument, 0, [](Said& s) { s.ask({"events"}); }},
    {"door", required_argument, 0, [](Said& s) { s.door = std::string("--door=") + optarg; }},
    {"control", required_argument, 0, [](Said& s) { s.line.control = optarg; }},
    {"version", no_argument, 'V', [](Said& s) { s.set_task(Task::kVersion); }},
    {"help", no_argument, 'h', [](Said& s) { s.set_task(Task::kHelp); }},
};
constexpr OptionTable kTable(kRows);

std::optional<UsageError> read_interfaces(const std::string& text, CommandLine& line) {
  auto list = parse_interface_list(text);
  if (const auto* fault = std::get_if<TextFault>(&list)) {
    return UsageError{"option -i: " + fault->message};
  }
  line.interfaces = std::move(std::get<InterfaceList>(list).names);
  for (const TextFault& remark : std::get<InterfaceList>(list).remarks) {
    line.remarks.push_back("option -i: " + remark.message);
  }
  return std::nullopt;
}

}  // namespace

Result<CommandLine, UsageError> parse_command_line(int argc, char** argv) {
  Said said;
  CommandLine& line = said.line;
  line.config_file = kDefaultConfigFile;
  kTable.begin();
  for (int answer; (answer = kTable.next(argc, argv)) != -1;) {
    const auto* const row = kTable.row_of(answer);
    if (row == nullptr) return UsageError{kTable.refusal(answer, argv)};
    row->take(said);
  }
  if (line.task == CommandLine::Task::kAsk) {
    if (said.door) line.request.push_back(*said.door);
    line.request.insert(line.request.end(), argv + optind, argv + argc);
    return line;
  }
  if ((said.door || !line.control.empty()) && line.task < CommandLine::Task::kAsk) {
    return UsageError{said.door
                          ? "option --door goes with --close or --open"
                          : "option --control goes with --status, --close, --open or --events"};
  }
  if (optind < argc) {
    return UsageError{format("unexpected argument \"%s\"", printable(argv[optind]).c_str())};
  }
  if (said.interfaces) {
    if (auto error = read_interfaces(*said.interfaces, line)) return *std::move(error);
  }
  return line;
}

}  // namespace knockd
