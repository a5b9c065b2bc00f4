// SPDX-License-Identifier: MIT
#include "knockd/client/options.h"

#include <getopt.h>

#include <vector>

#include "knockd/base/refused_option.h"
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
// `--check` alone with `--target`, as a client of a guide has it: the port that
// conf/examples/protected-port.conf guards.
constexpr uint16_t kTargetsCheckPort = 2222;

// The long options that have no letter.
enum : int {
  kTarget = 256,
  kSequence,
  kCheck,
  kProxy,
  kTimeout,
  kRetry,
  kInterface,
  kSource,
  kConfig,
  kDoor,
  kOneTime,
  kFlags,
  kPage,
  kExport,
  kSecret,
  kUser,
  kKeep,
};

constexpr char kLetters[] = ":ud:46vVh";

const option kLongOptions[] = {
    {"udp", no_argument, nullptr, 'u'},
    {"delay", required_argument, nullptr, 'd'},
    {"ipv4", no_argument, nullptr, '4'},
    {"ipv6", no_argument, nullptr, '6'},
    {"verbose", no_argument, nullptr, 'v'},
    {"version", no_argument, nullptr, 'V'},
    {"help", no_argument, nullptr, 'h'},
    {"target", required_argument, nullptr, kTarget},
    {"sequence", required_argument, nullptr, kSequence},
    {"check", optional_argument, nullptr, kCheck},
    {"proxy", required_argument, nullptr, kProxy},
    {"timeout", required_argument, nullptr, kTimeout},
    {"retry", required_argument, nullptr, kRetry},
    {"interface", required_argument, nullptr, kInterface},
    {"source", required_argument, nullptr, kSource},
    {"config", required_argument, nullptr, kConfig},
    {"door", required_argument, nullptr, kDoor},
    {"one-time", required_argument, nullptr, kOneTime},
    {"flags", required_argument, nullptr, kFlags},
    {"page", no_argument, nullptr, kPage},
    {"export", required_argument, nullptr, kExport},
    {"secret", required_argument, nullptr, kSecret},
    {"user", required_argument, nullptr, kUser},
    {"keep", required_argument, nullptr, kKeep},
    {nullptr, 0, nullptr, 0},
};

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// getopt knows an optional argument only as --check=PORT. A number or the name of a service that
// follows --check as a word of its own is joined to it here: which word is next cannot be asked of
// every libc's getopt.
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

// What the words say, before it is looked at as a whole.
class Reader {
 public:
  OrFailure<Options> read(int argc, char** argv) {
    std::vector<std::string> words = join_check_port(argc, argv);
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const int count = static_cast<int>(words.size());

    opterr = 0;
    optind = 0;  // glibc: also forget what an earlier command line left half read
    for (int c; (c = getopt_long(count, pointers.data(), kLetters, kLongOptions, nullptr)) != -1;) {
      if (c == '?' || c == ':') {
        fail(refused_option(c, pointers.data(), kLetters, kLongOptions) + "; try knock --help");
      } else {
        take(c);
      }
      if (failure_) return std::move(*failure_);
      // As 0.8 does, whatever stands behind it.
      if (options_.task != Options::Task::kKnock) return options_;
    }
    take_words(pointers.data() + optind, pointers.data() + count);
    check_as_a_whole();
    if (failure_) return std::move(*failure_);
    return std::move(options_);
  }

 private:
  // The first failure counts; what is read after it does not matter any more.
  void fail(std::string message) {
    if (!failure_) failure_ = {ExitStatus::kUsage, std::move(message)};
  }

  // Quotes what the user gave and says what was expected instead.
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

  void set_duration(Duration& result, const char* option, Duration unit) {
    set(result, parse_duration(optarg, unit), option, "a time like 300ms or 0.3s");
  }

  void set_check_port(const char* option) {
    set(options_.check_port, parse_port(optarg, Protocol::kTcp), option, "a port from 1 to 65535");
  }

  void set_keep() {
    options_.keep = parse_time(optarg, kLongestTime);
    if (options_.keep && *options_.keep >= kShortestKeep) return;
    reject("keep", optarg, "a time like 90s, 10m or 1h, at least 10s");
  }

  void set_flags(std::string_view text) {
    const auto result = parse_tcp_flags(text);
    if (const auto* fault = std::get_if<TextFault>(&result)) return fail(fault->message);
    options_.flags = std::get<FlagMask>(result).wanted;
  }

  void take(int c) {
    switch (c) {
      case 'u':
        unsaid_ = Protocol::kUdp;
        break;
      case 'd':
        set_duration(options_.delay, "delay", milliseconds(1));
        break;
      case '4':
        options_.family = Family::kV4;
        break;
      case '6':
        options_.family = Family::kV6;
        break;
      case 'v':
        options_.verbose = true;
        break;
      case 'V':
        options_.task = Options::Task::kVersion;
        break;
      case 'h':
        options_.task = Options::Task::kHelp;
        break;
      default:
        take_long(c);
        break;
    }
  }

  void take_long(int c) {
    switch (c) {
      case kTarget:
        options_.host = optarg;
        target_said_ = true;
        break;
      case kSequence:
        lists_.emplace_back(optarg);
        break;
      case kCheck:
        check_said_ = true;
        if (optarg != nullptr) set_check_port("check");
        break;
      case kProxy:
        set_check_port("proxy");
        options_.carry = true;
        break;
      case kTimeout:
        set_duration(options_.timeout, "timeout", seconds(1));
        timeout_said_ = true;
        break;
      case kRetry:
        set(options_.retries, parse_number(optarg, kMostRetries), "retry",
            "a number from 0 to 1000");
        break;
      case kInterface:
        options_.interface = optarg;
        break;
      case kSource:
        set(options_.source, IpAddress::parse(optarg), "source", "an address of this host");
        break;
      case kConfig:
        options_.config_file = optarg;
        break;
      case kDoor:
        options_.door = optarg;
        door_said_ = true;
        break;
      case kOneTime:
        options_.one_time_file = optarg;
        one_time_said_ = true;
        break;
      case kFlags:
        set_flags(optarg);
        break;
      case kPage:
        options_.handout = Options::Handout::kPage;
        break;
      case kExport:
        options_.handout = Options::Handout::kKnockOnPorts;
        if (optarg != std::string_view("knockonports")) reject("export", optarg, "knockonports");
        break;
      case kSecret:
        options_.secrets_file = optarg;
        break;
      case kUser:
        options_.user = optarg;
        break;
      case kKeep:
        set_keep();
        break;
    }
  }

  void take_words(char** first, char** end) {
    if (!target_said_ && first != end) options_.host = *first++;
    check_host();
    lists_.insert(lists_.end(), first, end);
    auto result = parse_knock_lists(lists_, unsaid_);
    if (auto* fault = std::get_if<TextFault>(&result)) return fail(std::move(fault->message));
    auto& knocks = std::get<CodedSequence>(result);
    options_.knocks = std::move(knocks.sequence);
    options_.places = std::move(knocks.places);
  }

  // getaddrinfo takes 7000 for the address 0.0.27.88, which nobody means.
  void check_host() {
    const std::string& host = options_.host;
    if (is_number(host) || std::holds_alternative<Sequence>(parse_sequence(host))) {
      reject("host", host, "a name or an address, and the ports behind it");
    }
  }

  void check_as_a_whole() {
    if (options_.host.empty()) fail("no host given; try knock --help");
    const int origins = (lists_.empty() ? 0 : 1) + (door_said_ ? 1 : 0) + (one_time_said_ ? 1 : 0);
    if (origins == 0) fail("no port given; try knock --help");
    if (origins > 1) fail("ports, --door and --one-time exclude each other");
    if (!door_said_ && !options_.config_file.empty()) fail("--config needs --door NAME");
    if (door_said_ && options_.config_file.empty()) options_.config_file = kDefaultConfigFile;
    check_secret();
    if (options_.keep && options_.carry) fail("--keep and --proxy exclude each other");
    if (check_said_ && !options_.check_port) choose_check_port();
    if (!options_.check_port && !options_.check_port_of_door &&
        (timeout_said_ || options_.retries > 0)) {
      fail("--timeout and --retry need --check or --proxy");
    }
    check_source_family();
    if (options_.handout != Options::Handout::kNone) check_handout();
  }

  void check_handout() {
    if (one_time_said_) fail("--one-time: a sequence that is used once is for no page or app");
    if (check_said_ || options_.carry || options_.keep || options_.flags || options_.source ||
        !options_.interface.empty()) {
      fail(
          "--page and --export send nothing: expected no --check, --proxy, --keep, --flags, "
          "--interface or --source");
    }
  }

  void check_secret() {
    const bool has_secret = !options_.secrets_file.empty();
    if (!options_.places.empty() && !has_secret) {
      fail("ports that change with time need --secret FILE");
    }
    if (has_secret && options_.places.empty() && !door_said_) {
      fail("--secret: expected ports like totp, as in 7000 totp totp totp totp, or --door NAME");
    }
    if (!options_.user.empty() && !has_secret && !door_said_) {
      fail("--user needs --secret FILE or --door NAME");
    }
  }

  // Of --check alone.
  void choose_check_port() {
    options_.check_port_of_door = door_said_;
    if (target_said_) options_.check_port = kTargetsCheckPort;
    if (!door_said_ && !target_said_) fail("--check: expected a port, as in --check 22");
  }

  // The source decides which of the host's addresses can be knocked at.
  void check_source_family() {
    if (!options_.source) return;
    const Family family = options_.source->is_v4() ? Family::kV4 : Family::kV6;
    if (options_.family != Family::kAny && options_.family != family) {
      fail(format("source %s: -4 or -6 asks for the other family",
                  options_.source->to_string().c_str()));
    }
    options_.family = family;
  }

  Options options_;
  std::optional<Failure> failure_;
  Protocol unsaid_ = Protocol::kTcp;  // of knocks without one: only known when all options are read
  std::vector<std::string> lists_;
  bool target_said_ = false;
  bool check_said_ = false;
  bool timeout_said_ = false;
  bool door_said_ = false;
  bool one_time_said_ = false;
};

}  // namespace

OrFailure<Options> parse_options(int argc, char** argv) { return Reader().read(argc, argv); }

}  // namespace knockd::client
