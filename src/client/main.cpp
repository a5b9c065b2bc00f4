// SPDX-License-Identifier: MIT
// knock: finds the sequence and the host, knocks, and if asked sees whether the door opened.
#include <signal.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <thread>

#include "knockd/base/text.h"
#include "knockd/client/carry.h"
#include "knockd/client/check.h"
#include "knockd/client/door_file.h"
#include "knockd/client/endpoint.h"
#include "knockd/client/failure.h"
#include "knockd/client/knocker.h"
#include "knockd/client/options.h"

namespace knockd::client {
namespace {

class Run {
 public:
  explicit Run(Options options) : options_(std::move(options)) {}

  ExitStatus execute() {
    const std::string one_time_file = look_up_door();
    const Endpoint host = resolve(options_.host, options_.family);
    name_ = host.to_string();
    Knocker knocker(host, options_);
    // Last of all, so that no mistake costs a sequence that can be used only once.
    if (!one_time_file.empty()) options_.knocks = use_one_time_sequence(one_time_file);

    knock_all(knocker);
    if (!options_.check_port) return ExitStatus::kDone;
    const CheckResult result = check(knocker);
    if (options_.carry) carry(STDIN_FILENO, STDOUT_FILENO, result.connection.get());
    return ExitStatus::kDone;
  }

 private:
  // Returns the list to take the knocks from, or nothing.
  std::string look_up_door() {
    if (options_.door.empty()) return options_.one_time_file;
    DoorKnocks door = knocks_of_door(options_.config_file, options_.door);
    options_.knocks = std::move(door.sequence);
    if (!options_.flags) options_.flags = door.flags;
    return std::move(door.one_time_file);
  }

  void knock_all(Knocker& knocker) {
    bool first = true;
    for (const Knock& knock : options_.knocks) {
      if (!first) std::this_thread::sleep_for(options_.delay);
      first = false;
      if (options_.verbose) {
        say("hitting %s %s:%u\n", protocol_name(knock.protocol), name_.c_str(), knock.port);
      }
      knocker.send(knock);
    }
  }

  // Returns a connection, or throws.
  CheckResult check(Knocker& knocker) {
    const uint16_t port = *options_.check_port;
    for (unsigned round = 0;; ++round) {
      CheckResult result = wait_until_open(knocker, port, options_.timeout);
      if (result.connection) {
        if (!options_.carry || options_.verbose) {
          say("port %u of %s opened after %s\n", port, name_.c_str(),
              in_seconds(result.took).c_str());
        }
        return result;
      }
      const std::string why = format("port %u of %s did not open within %s: %s", port,
                                     name_.c_str(), in_seconds(options_.timeout).c_str(),
                                     result.error ? std::strerror(result.error) : "no answer");
      if (round == options_.retries) throw Failure(ExitStatus::kNotOpened, why);
      if (options_.verbose) say("%s; knocking again\n", why.c_str());
      knock_all(knocker);
    }
  }

  static std::string in_seconds(Duration duration) {
    return format("%.3f s", std::chrono::duration<double>(duration).count());
  }

  // On standard output, unless that belongs to the connection.
  __attribute__((format(printf, 2, 3))) void say(const char* text, ...) const {
    std::FILE* const stream = options_.carry ? stderr : stdout;
    va_list arguments;
    va_start(arguments, text);
    std::vfprintf(stream, text, arguments);
    va_end(arguments);
    std::fflush(stream);  // a reader of a pipe sees each knock when it is sent
  }

  Options options_;
  std::string name_;  // the host's address, as text
};

ExitStatus run(int argc, char** argv) {
  Options options = parse_options(argc, argv);
  switch (options.task) {
    case Options::Task::kHelp:
      std::fputs(usage_text(), stdout);
      return ExitStatus::kDone;
    case Options::Task::kVersion:
      std::puts("knock " KNOCKD_VERSION);
      return ExitStatus::kDone;
    default:
      return Run(std::move(options)).execute();
  }
}

}  // namespace
}  // namespace knockd::client

int main(int argc, char** argv) {
  using knockd::client::Failure;
  signal(SIGPIPE, SIG_IGN);  // a reader that left is an error of write() like others
  try {
    return static_cast<int>(knockd::client::run(argc, argv));
  } catch (const Failure& failure) {
    if (*failure.what() != '\0') std::fprintf(stderr, "knock: %s\n", failure.what());
    return static_cast<int>(failure.status());
  } catch (const std::exception& error) {  // out of memory
    std::fprintf(stderr, "knock: %s\n", error.what());
    return static_cast<int>(knockd::client::ExitStatus::kUsage);
  }
}
