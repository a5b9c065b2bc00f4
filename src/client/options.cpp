// SPDX-License-Identifier: MIT
#include "knockd/client/options.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/base/option_table.h"
#include "knockd/base/text.h"
#include "knockd/client/words.h"
#include "knockd/config/config.h"
#include "knockd/config/values.h"

namespace knockd::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kMostRetries = 1000;
constexpr Duration kShortestKeep = seconds(10);
// The port for `--check` alone with `--target`, as in a guide: conf/examples/protected-port.conf
// guards it.
constexpr uint16_t kTargetsCheckPort = 2222;

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// getopt accepts an optional argument only as --check=PORT. This joins a number or service name
// that follows --check as a separate word, because not every libc's getopt exposes the next word.
std::vector<std::string> join_check_port(int argc, char** argv) {
  std::vector<std::string> words = {"knock"};
  bool options_over = false;
  for (int i = 1; i < argc; ++i) {
    words.emplace_back(argv[i]);
    options_over = options_over || words.back() == "--";
    if (options_over || words.back() != "--check" || i + 1 == argc) continue;
    if (is_number(argv[i + 1]) || parse_port(argv[i + 1], Protocol::kTcp)) {
      words.back() += format("=%s", argv[++i]);
    }
  }
  return words;
}

// The parsed words, before checks of the whole.
struct Said {
  // The first failure wins; later ones are ignored.
  void fail(std::string message) {
    if (!failure) failure = {ExitStatus::kUsage, std::move(message)};
  }

  // Quotes the given word and says what was expected instead.
  void reject(const char* option, std::string_view given, const char* expected) {
    fail(format("%s \"%s\": expected %s", option, printable(given).c_str(), expected));
  }

  template <typename Value, typename Result>
  void set(Result& result, const std::optional<Value>& value, const char* option,
           const char* expected) {
    if (value) {
      result = static_cast<Result>(*value);
    } else {
      reject(option, optarg, expected);
    }
  }

  // Refuses an empty value: mostly an unset variable of a script, and it would mean "none".
  void set_text(std::string& result, const char* option, const char* expected) {
    if (*optarg == '\0') reject(option, optarg, expected);
    result = optarg;
  }

  void set_duration(Duration& result, const char* option, Duration unit) {
    set(result, parse_duration(optarg, unit), option, "a time like 300ms or 0.3s");
  }

  void set_check_port(const char* option) {
    set(options.check_port, parse_port(optarg, Protocol::kTcp), option, "a port from 1 to 65535");
  }

  void set_keep() {
    options.keep = parse_time(optarg, kLongestTime);
    if (options.keep && *options.keep >= kShortestKeep) return;
    reject("keep", optarg, "a time like 90s, 10m or 1h, at least 10s");
  }

  void set_flags(std::string_view text) {
    const auto result = parse_tcp_flags(text);
    if (const auto* fault = std::get_if<TextFault>(&result)) return fail(fault->message);
    options.flags = std::get<FlagMask>(result).wanted;
  }

  Options options;
  std::optional<Failure> failure;
  Protocol unsaid = Protocol::kTcp;  // of knocks without one: known after all options
  std::vector<std::string> lists;
  bool has_target = false;
  bool has_check = false;
  bool has_timeout = false;
  bool has_door = false;
  bool has_one_time = false;
};

constexpr OptionRow<Said> kRows[] = {
    {"udp", no_argument, 'u', [](Said& s) { s.unsaid = Protocol::kUdp; }},
    {"delay", required_argument, 'd',
     [](Said& s) { s.set_duration(s.options.delay, "delay", milliseconds(1)); }},
    {"ipv4", no_argument, '4', [](Said& s) { s.options.family = Family::kV4; }},
    {"ipv6", no_argument, '6', [](Said& s) { s.options.family = Family::kV6; }},
    {"verbose", no_argument, 'v', [](Said& s) { s.options.verbose = true; }},
    {"version", no_argument, 'V', [](Said& s) { s.options.task = Options::Task::kVersion; }},
    {"help", no_argument, 'h', [](Said& s) { s.options.task = Options::Task::kHelp; }},
    {"target", required_argument, 0,
     [](Said& s) {
       s.options.host = optarg;
       s.has_target = true;
     }},
    {"sequence", required_argument, 0, [](Said& s) { s.lists.emplace_back(optarg); }},
    {"check", optional_argument, 0,
     [](Said& s) {
       s.has_check = true;
       if (optarg != nullptr) s.set_check_port("check");
     }},
    {"proxy", required_argument, 0,
     [](Said& s) {
       s.set_check_port("proxy");
       s.options.carry = true;
     }},
    {"timeout", required_argument, 0,
     [](Said& s) {
       s.set_duration(s.options.timeout, "timeout", seconds(1));
       s.has_timeout = true;
     }},
    {"retry", required_argument, 0,
     [](Said& s) {
       s.set(s.options.retries, parse_number(optarg, kMostRetries), "retry",
             "a number from 0 to 1000");
     }},
    {"interface", required_argument, 0,
     [](Said& s) { s.set_text(s.options.interface, "interface", "a name"); }},
    {"source", required_argument, 0,
     [](Said& s) {
       s.set(s.options.source, IpAddress::parse(optarg), "source", "an address of this host");
     }},
    {"config", required_argument, 0,
     [](Said& s) { s.set_text(s.options.config_file, "config", "a file"); }},
    {"door", required_argument, 0,
     [](Said& s) {
       s.set_text(s.options.door, "door", "a name");
       s.has_door = true;
     }},
    {"one-time", required_argument, 0,
     [](Said& s) {
       s.set_text(s.options.one_time_file, "one-time", "a file");
       s.has_one_time = true;
     }},
    {"flags", required_argument, 0, [](Said& s) { s.set_flags(optarg); }},
    {"page", no_argument, 0, [](Said& s) { s.options.handout = Options::Handout::kPage; }},
    {"export", required_argument, 0,
     [](Said& s) {
       s.options.handout = Options::Handout::kKnockOnPorts;
       if (optarg != std::string_view("knockonports")) s.reject("export", optarg, "knockonports");
     }},
    {"secret", required_argument, 0,
     [](Said& s) { s.set_text(s.options.secrets_file, "secret", "a file"); }},
    {"user", required_argument, 0, [](Said& s) { s.set_text(s.options.user, "user", "a name"); }},
    {"keep", required_argument, 0, [](Said& s) { s.set_keep(); }},
};
constexpr OptionTable kTable(kRows);

// getaddrinfo reads 7000 as the address 0.0.27.88, which is never meant.
void check_host(Said& said) {
  const std::string& host = said.options.host;
  if (is_number(host) || std::holds_alternative<Sequence>(parse_sequence(host))) {
    said.reject("host", host, "a name or an address, and the ports behind it");
  }
}

void take_words(Said& said, char** first, char** end) {
  if (!said.has_target && first != end) said.options.host = *first++;
  check_host(said);
  said.lists.insert(said.lists.end(), first, end);
  auto result = parse_knock_lists(said.lists, said.unsaid);
  if (auto* fault = std::get_if<TextFault>(&result)) return said.fail(std::move(fault->message));
  auto& knocks = std::get<CodedSequence>(result);
  said.options.knocks = std::move(knocks.sequence);
  said.options.places = knocks.places;
}

void check_handout(Said& said) {
  if (said.has_one_time) {
    said.fail("--one-time: a sequence that is used once is for no page or app");
  }
  if (said.has_check || said.options.carry || said.options.keep || said.options.flags ||
      said.options.source || !said.options.interface.empty()) {
    said.fail(
        "--page and --export send nothing: expected no --check, --proxy, --keep, --flags, "
        "--interface or --source");
  }
}

void check_secret(Said& said) {
  const bool has_secret = !said.options.secrets_file.empty();
  if (!said.options.places.empty() && !has_secret) {
    said.fail("ports that change with time need --secret FILE");
  }
  if (has_secret && said.options.places.empty() && !said.has_door) {
    said.fail("--secret: expected ports like totp, as in 7000 totp totp totp totp, or --door NAME");
  }
  if (!said.options.user.empty() && !has_secret && !said.has_door) {
    said.fail("--user needs --secret FILE or --door NAME");
  }
}

// For --check without a port.
void choose_check_port(Said& said) {
  said.options.check_port_of_door = said.has_door;
  if (said.has_target) said.options.check_port = kTargetsCheckPort;
  if (!said.has_door && !said.has_target) said.fail("--check: expected a port, as in --check 22");
}

// The source decides the address family of the host.
void check_source_family(Said& said) {
  if (!said.options.source) return;
  const Family family = said.options.source->is_v4() ? Family::kV4 : Family::kV6;
  if (said.options.family != Family::kAny && said.options.family != family) {
    said.fail(format("source %s: -4 or -6 asks for the other family",
                     said.options.source->to_string().c_str()));
  }
  said.options.family = family;
}

void check_as_a_whole(Said& said) {
  if (said.options.host.empty()) said.fail("no host given; try knock --help");
  const int origins =
      (said.lists.empty() ? 0 : 1) + (said.has_door ? 1 : 0) + (said.has_one_time ? 1 : 0);
  if (origins == 0) said.fail("no port given; try knock --help");
  if (origins > 1) said.fail("ports, --door and --one-time exclude each other");
  if (!said.has_door && !said.options.config_file.empty()) said.fail("--config needs --door NAME");
  if (said.has_door && said.options.config_file.empty()) {
    said.options.config_file = kDefaultConfigFile;
  }
  check_secret(said);
  if (said.options.keep && said.options.carry) said.fail("--keep and --proxy exclude each other");
  if (said.has_check && !said.options.check_port) choose_check_port(said);
  if (!said.options.check_port && !said.options.check_port_of_door &&
      (said.has_timeout || said.options.retries > 0)) {
    said.fail("--timeout and --retry need --check or --proxy");
  }
  check_source_family(said);
  if (said.options.handout != Options::Handout::kNone) check_handout(said);
}

}  // namespace

OrFailure<Options> parse_options(int argc, char** argv) {
  std::vector<std::string> words = join_check_port(argc, argv);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const int count = static_cast<int>(words.size());

  Said said;
  kTable.begin();
  for (int answer; (answer = kTable.next(count, pointers.data())) != -1;) {
    const auto* const row = kTable.row_of(answer);
    if (row != nullptr) {
      row->take(said);
    } else {
      said.fail(kTable.refusal(answer, pointers.data()) + "; try knock --help");
    }
    if (said.failure) return *std::move(said.failure);
    // Ignores later words, as 0.8 does.
    if (said.options.task != Options::Task::kKnock) return said.options;
  }
  take_words(said, pointers.data() + optind, pointers.data() + count);
  check_as_a_whole(said);
  if (said.failure) return *std::move(said.failure);
  return std::move(said.options);
}

}  // namespace knockd::client
