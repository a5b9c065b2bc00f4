// SPDX-License-Identifier: MIT
// The checks' view of the real machine.
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "knockd/lint/check.h"

namespace knockd {
namespace {

constexpr int kPatience = 5000;  // milliseconds without output of a program

bool is_executable(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

// Only these exact names: other programs that a configuration names are never run here.
bool may_be_asked(std::string_view tool) {
  return is_one_of(
      tool, "iptables ip6tables iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft");
}

// Standard output of a program found by PATH, if it succeeds; discards its standard error. Kills
// one that hangs.
std::optional<std::string> output_of(std::array<const char*, 5> arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, arguments[0], &actions, nullptr,
                                  const_cast<char* const*>(arguments.data()), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return std::nullopt;
  to.reset();
  std::string output;
  char part[4096];
  pollfd ready{from.get(), POLLIN, 0};
  for (;;) {
    if (::poll(&ready, 1, kPatience) == 0) {
      ::kill(pid, SIGKILL);
      break;
    }
    const ssize_t length = ::read(from.get(), part, sizeof(part));
    if (length == 0 || (length < 0 && errno != EINTR)) break;
    if (length > 0) output.append(part, static_cast<size_t>(length));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return std::nullopt;
  return output;
}

}  // namespace

bool Machine::has_program(const std::string& name) const {
  if (name.find('/') != std::string::npos) return is_executable(name);
  const char* const path = ::getenv("PATH");
  for (const std::string_view folder :
       split(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':')) {
    // An empty part of PATH is the current folder.
    if (is_executable((folder.empty() ? "." : std::string(folder)) + '/' + name)) return true;
  }
  return false;
}

std::optional<unsigned> Machine::file_mode(const std::string& path) const {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status.st_mode & 07777u;
}

bool Machine::has_interface(const std::string& name) const {
  return ::if_nametoindex(name.c_str()) != 0;
}

bool Machine::has_group(const std::string& name) const {
  return ::getgrnam(name.c_str()) != nullptr;
}

std::string Machine::iptables_chain(const std::string& tool, const std::string& chain) const {
  if (::geteuid() != 0 || !may_be_asked(tool) || chain.starts_with('-')) return {};
  return output_of({tool.c_str(), "-S", chain.c_str()}).value_or("");
}

std::optional<std::string> Machine::ruleset() const {
  if (::geteuid() != 0) return std::nullopt;
  return output_of({"nft", "-t", "list", "ruleset"});
}

}  // namespace knockd
