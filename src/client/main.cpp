// SPDX-License-Identifier: MIT
// knock: finds the sequence and the host, knocks, and on request checks whether the door opened.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "knockd/base/growing_pause.h"
#include "knockd/base/text.h"
#include "knockd/client/carry.h"
#include "knockd/client/check.h"
#include "knockd/client/door_file.h"
#include "knockd/client/endpoint.h"
#include "knockd/client/failure.h"
#include "knockd/client/knocker.h"
#include "knockd/client/options.h"
#include "knockd/client/own_secret.h"
#include "knockd/client/page.h"
#include "knockd/code/code_ports.h"

namespace knockd::client {
namespace {

// With --keep: the longest time before the door closes at which to knock again, and the interval
// for checks of the own address.
constexpr Duration kMargin = std::chrono::seconds(30);
constexpr Duration kAddressPause = std::chrono::seconds(2);
// The interval for checks whether the next code is in force.
constexpr Duration kCodePause = std::chrono::milliseconds(200);

void print(const Failure& failure) { std::fprintf(stderr, "knock: %s\n", failure.message.c_str()); }

class Run {
 public:
  explicit Run(Options options) : options_(std::move(options)) {}

  // Nothing on success.
  std::optional<Failure> execute() {
    if (!options_.door.empty()) {
      if (auto failure = look_up_door()) return failure;
    }
    if (!options_.places.empty()) {
      auto user = find_user(options_.secrets_file, options_.user);
      if (!user) return std::move(user.error());
      user_ = *std::move(user);
    }
    if (options_.handout != Options::Handout::kNone) return hand_out();
    if (!options_.keep) return knock_once();
    keep_open();
  }

 private:
  std::optional<Failure> knock_once() {
    const auto host = resolve(options_.host, options_.family);
    if (!host) return host.error();
    name_ = host->to_string();
    Knocker knocker(*host, options_);
    if (knocker.failure()) return knocker.failure();
    if (options_.keep) {
      // Before the knocks, so that a later change of the address causes new knocks.
      auto own = knocker.own_address();
      if (!own) return std::move(own.error());
      own_address_ = *own;
    }
    // Last, so that no mistake wastes a sequence that can be used only once.
    if (!options_.one_time_file.empty()) {
      auto sequence = take_one_time_sequence(options_.one_time_file);
      if (!sequence) return std::move(sequence.error());
      options_.knocks = *std::move(sequence);
    }
    choose_knocks(host->family() == AF_INET);

    UniqueFd early;
    // Not for a port that is itself a knock: the attempt would be an extra knock.
    if (options_.check_port && !is_knock(*options_.check_port)) {
      early = begin_early_attempt(knocker, *options_.check_port);
    }
    if (auto failure = knock_all(knocker)) return failure;
    if (!options_.check_port) return std::nullopt;
    const auto connection = check(knocker, std::move(early));
    if (!connection) return connection.error();
    if (options_.carry) carry(STDIN_FILENO, STDOUT_FILENO, connection->get());
    return std::nullopt;
  }

  // Repeats until a signal ends the program.
  [[noreturn]] void keep_open() {
    const Duration interval = *options_.keep - std::min(*options_.keep / 4, kMargin);
    GrowingPause pause(std::chrono::seconds(1), std::chrono::seconds(15));
    for (;;) {
      const Instant next = BootClock::now() + interval;
      if (const auto failure = knock_once()) {
        print(*failure);
        std::this_thread::sleep_for(pause.next());
        continue;
      }
      pause.reset();
      if (options_.verbose) {
        say("knocked from %s; again within %s, or from another address\n",
            own_address_.to_string().c_str(), in_seconds(interval).c_str());
      }
      wait_for_reason(next);
    }
  }

  // Waits until the next knocks are due: at this time, or when the own address towards the host
  // changes or comes back.
  void wait_for_reason(Instant next) const {
    bool was_lost = false;
    for (Instant now; (now = BootClock::now()) < next;) {
      std::this_thread::sleep_for(std::min(kAddressPause, next - now));
      const auto host = resolve(name_, options_.family);
      const auto own = host ? Knocker(*host, options_).own_address() : host.error();
      if (own && (was_lost || *own != own_address_)) return wait_for_next_code();
      was_lost = !own;
    }
  }

  // A code used from one address opens for no other. Behind a router with address translation a
  // change of address is not visible.
  void wait_for_next_code() const {
    while (user_ && step_at(::time(nullptr)) == step_) std::this_thread::sleep_for(kCodePause);
  }

  // Chooses the present knocks, for the address family of the host.
  void choose_knocks(bool is_v4) {
    knocks_ = options_.knocks;
    if (!user_) return;
    const CodedSequence coded{options_.knocks, options_.places};
    step_ = step_at(::time(nullptr));
    knocks_ = with_code(coded, {code_ports(user_->secret, coded, step_, is_v4), {}});
  }

  // Replaces the door's name by what the command line could have given.
  std::optional<Failure> look_up_door() {
    auto door = knocks_of_door(options_.config_file, options_.door);
    if (!door) return std::move(door.error());
    options_.knocks = std::move(door->sequence);
    options_.places = door->places;
    if (options_.secrets_file.empty()) options_.secrets_file = door->secrets_file;
    const bool has_secret = !options_.secrets_file.empty() || !options_.user.empty();
    if (options_.places.empty() == has_secret) {
      return Failure{
          ExitStatus::kUsage,
          format(has_secret ? "%s: door \"%s\" has no places like totp: expected no secret"
                            : "%s: door \"%s\" has places that change with time: "
                              "expected Secrets = FILE in it, or --secret FILE",
                 printable(options_.config_file).c_str(), printable(options_.door).c_str())};
    }
    if (!options_.flags) options_.flags = door->flags;
    options_.one_time_file = std::move(door->one_time_file);
    if (!options_.check_port_of_door) return std::nullopt;
    if (door->port) options_.check_port = door->port;
    if (options_.check_port) return std::nullopt;
    return Failure{
        ExitStatus::kUsage,
        format("--check: no tcp port is found that door \"%s\" of %s opens: expected "
               "one, as in --check 22",
               printable(options_.door).c_str(), printable(options_.config_file).c_str())};
  }

  // Prints the page or file for others to knock with.
  std::optional<Failure> hand_out() {
    if (!options_.one_time_file.empty() || options_.flags) {
      return Failure{
          ExitStatus::kUsage,
          format("door \"%s\": no page and no app knocks with one-time sequences or other "
                 "flags than syn",
                 printable(options_.door).c_str())};
    }
    const Handout handout{options_.host, options_.door.empty() ? options_.host : options_.door,
                          options_.family, CodedSequence{options_.knocks, options_.places},
                          user_ ? user_->secret.base32() : std::string()};
    const auto text = options_.handout == Options::Handout::kPage
                          ? knock_page(handout)
                          : knock_on_ports_file(handout, options_.delay);
    if (!text) return text.error();
    const bool is_written = std::fputs(text->c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
    if (is_written) return std::nullopt;
    return Failure{ExitStatus::kNoPermission, format("standard output: %s", std::strerror(errno))};
  }

  std::optional<Failure> knock_all(Knocker& knocker) {
    bool first = true;
    for (const Knock& knock : knocks_) {
      if (!first) std::this_thread::sleep_for(options_.delay);
      first = false;
      if (options_.verbose) {
        say("hitting %s %s:%u\n", protocol_name(knock.protocol), name_.c_str(), knock.port);
      }
      if (auto failure = knocker.send(knock)) return failure;
    }
    return std::nullopt;
  }

  bool is_knock(uint16_t port) const {
    return std::ranges::find(knocks_, Knock{port, Protocol::kTcp}) != knocks_.end();
  }

  // The result of the knocks, as far as known.
  std::string outcome(const CheckResult& result) const {
    if (result.was_open) return "was open already";
    if (is_knock(*options_.check_port)) {
      return "is open; perhaps it was already: a port that is a knock is not tried before";
    }
    return "opened after " + in_seconds(result.took);
  }

  // The connection to the door that opened. `early` is an attempt from before the knocks.
  OrFailure<UniqueFd> check(Knocker& knocker, UniqueFd early) {
    const uint16_t port = *options_.check_port;
    for (unsigned round = 0;; ++round) {
      // The early attempt exists only in the first round.
      auto waited = wait_until_open(knocker, port, options_.timeout, std::exchange(early, {}));
      if (!waited) return std::move(waited.error());
      CheckResult& result = *waited;
      if (result.connection) {
        if (!options_.carry || options_.verbose) {
          say("port %u of %s %s\n", port, name_.c_str(), outcome(result).c_str());
        }
        return std::move(result.connection);
      }
      const std::string why = format("port %u of %s did not open within %s: %s", port,
                                     name_.c_str(), in_seconds(options_.timeout).c_str(),
                                     result.error ? std::strerror(result.error) : "no answer");
      if (round == options_.retries) return Failure{ExitStatus::kNotOpened, why};
      if (options_.verbose) say("%s; knocking again\n", why.c_str());
      choose_knocks(knocker.at(port).family() == AF_INET);
      if (auto failure = knock_all(knocker)) return std::move(*failure);
    }
  }

  static std::string in_seconds(Duration duration) {
    return format("%.3f s", std::chrono::duration<double>(duration).count());
  }

  // Prints to standard output, unless that belongs to the connection.
  __attribute__((format(printf, 2, 3))) void say(const char* text, ...) const {
    std::FILE* const stream = options_.carry ? stderr : stdout;
    va_list arguments;
    va_start(arguments, text);
    std::vfprintf(stream, text, arguments);
    va_end(arguments);
    std::fflush(stream);  // a reader of a pipe sees each knock when it is sent
  }

  Options options_;
  std::optional<User> user_;  // of places that change with time
  Step step_ = 0;             // of the last used code
  Sequence knocks_;           // to be sent
  std::string name_;          // the host's address, as text
  IpAddress own_address_;     // the source of the last knocks, with --keep
};

// Nothing on success.
std::optional<Failure> run(int argc, char** argv) {
  auto options = parse_options(argc, argv);
  if (!options) return std::move(options.error());
  switch (options->task) {
    case Options::Task::kHelp:
      std::fputs(usage_text(), stdout);
      return std::nullopt;
    case Options::Task::kVersion:
      std::puts("knock " KNOCKD_VERSION);
      return std::nullopt;
    default:
      return Run(*std::move(options)).execute();
  }
}

}  // namespace
}  // namespace knockd::client

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a reader that left is an error of write() like others
  const auto failure = knockd::client::run(argc, argv);
  if (!failure) return static_cast<int>(knockd::client::ExitStatus::kDone);
  knockd::client::print(*failure);
  return static_cast<int>(failure->status);
}
