// SPDX-License-Identifier: MIT
#include "knockd/base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

#include "knockd/base/text.h"
#if __has_include(<linux/close_range.h>)
#include <linux/close_range.h>
#endif

namespace knockd {
namespace {

constexpr char kShell[] = "/bin/sh";
constexpr char kDefaultPath[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

bool has_name(std::string_view entry, std::string_view name) {
  return entry.substr(0, entry.find('=')) == name;
}

// The own environment, with the additions before the entries that they replace, and always a PATH.
std::vector<std::string> merged_environment(
    const std::vector<std::pair<std::string, std::string>>& additions) {
  std::vector<std::string> merged;
  for (const auto& [name, value] : additions) merged.push_back(name + "=" + value);
  bool has_path = false;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    bool replaced = false;
    for (const auto& addition : additions) replaced |= has_name(*entry, addition.first);
    if (!replaced) merged.emplace_back(*entry);
    has_path |= has_name(*entry, "PATH");
  }
  if (!has_path) merged.emplace_back(kDefaultPath);
  return merged;
}

// Descriptors of this program are close-on-exec; inherited ones may not be.
void close_on_exec_inherited() {
#if defined(SYS_close_range) && defined(CLOSE_RANGE_CLOEXEC)
  if (syscall(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0) return;
#endif
  // Before Linux 5.11: sets them one by one, up to the highest likely limit.
  const long most = std::clamp<long>(sysconf(_SC_OPEN_MAX), 256, 65536);
  for (int fd = STDERR_FILENO + 1; fd < most; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Default signals, and the flags' further attributes.
struct Actions {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  explicit Actions(int flags) {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(
        &attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | flags));
  }
  ~Actions() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
};

}  // namespace

pid_t spawn_shell(const std::string& command,
                  const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::string> entries = merged_environment(environment);
  std::vector<char*> pointers;
  for (std::string& entry : entries) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  std::string text = command;
  char name[] = "sh", option[] = "-c";
  char* const arguments[] = {name, option, text.data(), nullptr};

  close_on_exec_inherited();
  Actions actions(POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_addopen(&actions.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, kShell, &actions.files, &actions.attributes, arguments, pointers.data());
  return error == 0 ? pid : -error;
}

pid_t spawn_program(const char* path, char* const* arguments, char* const* environment, int input,
                    int output) {
  Actions actions(0);
  posix_spawn_file_actions_adddup2(&actions.files, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions.files, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions.files, output, STDERR_FILENO);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, path, &actions.files, &actions.attributes, arguments, environment);
  return error == 0 ? pid : -error;
}

std::string end_text(int status) {
  if (!WIFSIGNALED(status)) return format("exit status %d", WEXITSTATUS(status));
  return format("killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

}  // namespace knockd
