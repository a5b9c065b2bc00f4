// SPDX-License-Identifier: MIT
#include "knockd/keeper/nft_program.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "knockd/base/spawn.h"
#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"

namespace knockd {
namespace {

// Milliseconds.
constexpr int kPatience = 5000;
constexpr int kPatienceOfOneWhoLeaves = 500;  // SIGTERM is obeyed within 2 s
constexpr int kLook = 50;
constexpr char kProgram[] = "nft";
constexpr size_t kMostReason = 512;

// nft is looked for where a router has it, whatever PATH we were given.
char kPath[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
char kLocale[] = "LC_ALL=C";

std::string system_reason(int error) { return std::string("nft: ") + std::strerror(error); }

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// The first error that nft printed, without the place in a text that nobody sees.
std::string reason_in(int fd) {
  char bytes[kMostReason];
  const ssize_t size = pread(fd, bytes, sizeof(bytes), 0);
  const std::string_view text(bytes, size > 0 ? static_cast<size_t>(size) : 0);
  const std::string_view line = text.substr(0, text.find('\n'));
  constexpr std::string_view kError = "Error: ";
  const size_t at = line.find(kError);
  return printable(trim(at == std::string_view::npos ? line : line.substr(at + kError.size())));
}

// Whether the event loop will hear that it has to end.
bool is_asked_to_leave() {
  sigset_t pending;
  return sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

// False if it did not end in time.
bool wait_for(pid_t pid, int& status) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  pollfd ended{process.get(), POLLIN, 0};
  bool in_time = !process;
  int waited_while_leaving = 0;
  for (int waited = 0; !in_time && waited < kPatience; waited += kLook) {
    if (is_asked_to_leave()) waited_while_leaving += kLook;
    if (waited_while_leaving > kPatienceOfOneWhoLeaves) break;
    in_time = poll(&ended, 1, kLook) > 0;
  }
  if (!in_time) kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return in_time;
}

}  // namespace

std::string run_nft(const std::string& ruleset) {
  const UniqueFd input(memfd_create("ruleset", MFD_CLOEXEC));
  const UniqueFd output(memfd_create("messages", MFD_CLOEXEC));
  if (!input || !output || !write_all(input.get(), ruleset)) return system_reason(errno);
  lseek(input.get(), 0, SEEK_SET);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, output.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, output.get(), STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char name[] = "nft";
  char option[] = "-f";
  char standard_input[] = "-";
  char* const arguments[] = {name, option, standard_input, nullptr};
  char* const environment[] = {kPath, kLocale, nullptr};
  pid_t pid = -1;
  int error = ENOENT;
  for (const char* const folder : {"/usr/sbin/", "/sbin/", "/usr/bin/"}) {
    const std::string path = std::string(folder) + kProgram;
    error = posix_spawn(&pid, path.c_str(), &files, &attributes, arguments, environment);
    if (error != ENOENT) break;
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == ENOENT) return "nft is not installed";
  if (error != 0) return system_reason(error);

  int status = 0;
  if (!wait_for(pid, status)) return "nft: did not end in time";
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string reason = reason_in(output.get());
  return "nft: " + (reason.empty() ? end_text(status) : reason);
}

}  // namespace knockd
