// SPDX-License-Identifier: MIT
#include "knockd/app/daemon.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "knockd/app/ask.h"
#include "knockd/app/replay.h"
#include "knockd/app/shut.h"
#include "knockd/app/test_config.h"
#include "knockd/base/privileges.h"
#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "knockd/config/description.h"
#include "knockd/config/parser.h"
#include "knockd/keeper/keeper.h"
#include "knockd/lint/check.h"
#include "knockd/listener/fresh_listener.h"
#include "knockd/listener/listener.h"

namespace knockd {
namespace {

// Empty if it does not exist.
std::string working_directory() {
  char directory[PATH_MAX];
  return getcwd(directory, sizeof(directory)) == nullptr ? "" : directory;
}

// With secrets in memory, other processes of the same user must not read this one, and it must not
// dump core.
void guard_secrets(const Config& config) {
  const auto has_secrets = [](const Door& door) { return !door.users.empty(); };
  if (std::ranges::any_of(config.doors, has_secrets)) prctl(PR_SET_DUMPABLE, 0);
}

// Puts the daemon in the background. The caller's process waits until the daemon is ready.
class Background {
 public:
  // Forks. Returns only in the new process; the caller's process exits with its result.
  Status enter() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fault_of("pipe");
    UniqueFd waiting(ends[0]);
    ready_.reset(ends[1]);
    const pid_t child = fork();
    if (child < 0) return fault_of("fork");
    if (child > 0) wait_and_exit(waiting, child);
    setsid();
    return {};
  }

  // Lets the caller exit with success, and detaches from the terminal.
  void set_ready() {
    if (!ready_) return;
    // Without /dev/null, readers of these streams only wait longer.
    [[maybe_unused]] const Status discarded = discard_standard_streams();
    if (chdir("/") != 0) return;
    const char done = 0;
    [[maybe_unused]] const ssize_t written = write(ready_.get(), &done, 1);
    ready_.reset();
  }

 private:
  [[noreturn]] void wait_and_exit(const UniqueFd& waiting, pid_t child) {
    ready_.reset();
    char done;
    ssize_t got;
    while ((got = read(waiting.get(), &done, 1)) < 0 && errno == EINTR) {
    }
    if (got == 1) _exit(0);
    // The pipe closed without a message: the child has ended and printed the reason to standard
    // error.
    int status = 0;
    waitpid(child, &status, 0);
    _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
  }

  UniqueFd ready_;
};

// Notifies systemd, or another service manager, that the daemon listens: a datagram to the socket
// that it names (sd_notify(3)). Commands must not inherit the variable.
void tell_service_manager() {
  const char* const path = getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (length <= sizeof(address.sun_path) && socket) {
    std::memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract socket
    constexpr std::string_view kReady = "READY=1";
    sendto(socket.get(), kReady.data(), kReady.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  }
  unsetenv("NOTIFY_SOCKET");
}

// A greeting for users who start the daemon in a terminal without a log.
class Greeting {
 public:
  Greeting(const Config& config, const CommandLine& line)
      : doors_(config.doors.size()),
        has_log_(config.use_syslog || !config.log_file.empty() || !line.log_file.empty() ||
                 line.verbose) {}

  void print(const std::vector<std::string>& interfaces) const {
    std::FILE* const terminal = isatty(STDERR_FILENO)   ? stderr
                                : isatty(STDOUT_FILENO) ? stdout
                                                        : nullptr;
    if (terminal == nullptr || (has_log_ && doors_ != 0)) return;
    std::fprintf(terminal, "knockd: %slistening on %s, %s%s\n", doors_ == 0 ? "warning: " : "",
                 join(interfaces, ", ").c_str(),
                 doors_ == 0 ? "no doors" : counted(doors_, "door").c_str(),
                 has_log_ ? "" : "; no log is configured (try -v)");
    std::fflush(terminal);
  }

 private:
  size_t doors_;
  bool has_log_;
};

int print_errors(const ConfigError& error) {
  for (const Complaint& complaint : error.complaints) {
    std::fprintf(stderr, "%s\n", complaint.to_string().c_str());
  }
  return 1;
}

int test(const CommandLine& line) {
  const TestReport report = test_config(line.config_file, [&](const Config& config) {
    return check(config, Machine(other_entrances(line, config)));
  });
  std::fputs(report.text.c_str(), report.is_good ? stdout : stderr);
  return report.is_good ? 0 : 1;
}

int replay_capture(const CommandLine& line) {
  const auto config = load_config(line.config_file);
  if (!config) return print_errors(config.error());
  return replay(*config, {line.capture_file, line.debug, line.only_v4});
}

int listen(const CommandLine& line) {
  // Neither the daemon nor its commands may use the caller's descriptors.
  close_inherited(STDERR_FILENO);
  // A daemon leaves its working directory, so paths must not depend on it.
  SystemFiles files(working_directory());
  KeeperOptions options;
  options.interfaces = line.interfaces;
  options.log_file = files.path_of(line.log_file);
  options.pid_file = files.path_of(line.pid_file);
  options.daemon = line.daemon;
  options.verbose = line.verbose;
  options.debug = line.debug;
  options.lookup = line.lookup;
  options.only_v4 = line.only_v4;
  const auto load = [&] {
    auto config = load_config(line.config_file, files);
    if (config) guard_secrets(*config);
    return config;
  };
  auto config = load();
  if (!config) {
    print_errors(config.error());
    Keeper(std::move(config.error().read), std::move(options), run_listener, nullptr, nullptr)
        .close_what_is_due();
    return 1;
  }
  if (line.debug) {
    for (const std::string& text : describe(*config)) std::printf("%s\n", text.c_str());
  }

  std::fflush(stdout);
  const Status fresh = prepare_fresh_listeners();
  if (!fresh) {
    std::fprintf(stderr,
                 "knockd: warning: listeners keep a copy of the daemon's memory, since they cannot "
                 "be started anew: %s\n",
                 fresh.error().text.c_str());
  }
  const Greeting greeting(*config, line);
  Background background;
  if (line.daemon) {
    if (const Status entered = background.enter(); !entered) {
      std::fprintf(stderr, "knockd: %s\n", entered.error().text.c_str());
      return 1;
    }
  }
  Keeper keeper(*std::move(config), std::move(options), fresh ? start_fresh_listener : run_listener,
                load, [&] {
                  if (!line.daemon) greeting.print(keeper.interfaces());
                  background.set_ready();
                  tell_service_manager();
                });
  return keeper.run();
}

int run(const CommandLine& line) {
  switch (line.task) {
    case CommandLine::Task::kHelp:
      std::fputs(kUsage, stdout);
      return 0;
    case CommandLine::Task::kVersion:
      std::printf("knockd %s\nMIT License\n", KNOCKD_VERSION);
      return 0;
    case CommandLine::Task::kTest:
      return test(line);
    case CommandLine::Task::kReplay:
      return replay_capture(line);
    case CommandLine::Task::kShut:
      return shut_ports(line);
    case CommandLine::Task::kUnshut:
      return unshut_ports(line);
    case CommandLine::Task::kAsk:
      return ask(line);
    case CommandLine::Task::kListen:
      for (const std::string& remark : line.remarks) {
        std::fprintf(stderr, "knockd: warning: %s\n", remark.c_str());
      }
      return listen(line);
  }
  return 1;
}

}  // namespace

// A task whose purpose is to print fails if the output cannot be written.
int run_task(const CommandLine& line) {
  using Task = CommandLine::Task;
  const int status = run(line);
  const bool only_prints = line.task == Task::kTest || line.task == Task::kReplay ||
                           line.task == Task::kHelp || line.task == Task::kVersion;
  if (!only_prints) return status;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  std::fprintf(stderr, "knockd: the output cannot be written\n");
  return 1;
}

}  // namespace knockd
