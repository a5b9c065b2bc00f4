// SPDX-License-Identifier: MIT
#include "knockd/keeper/nft_program.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "knockd/base/memory_file.h"
#include "knockd/base/result.h"
#include "knockd/base/spawn.h"
#include "knockd/base/text.h"

namespace knockd {
namespace {

// Milliseconds.
constexpr int kPatience = 5000;
constexpr int kPatienceOfOneWhoLeaves = 500;  // SIGTERM is obeyed within 2 s
constexpr int kLook = 50;
constexpr size_t kMostReason = 512;

// The PATH for nft covers a router's places, whatever the inherited one.
char kPath[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
char kLocale[] = "LC_ALL=C";

// The first error that nft printed, without the position in its input, which users do not see.
std::string reason_in(int fd) {
  char bytes[kMostReason];
  const ssize_t size = pread(fd, bytes, sizeof(bytes), 0);
  const std::string_view text(bytes, size > 0 ? static_cast<size_t>(size) : 0);
  const std::string_view line = text.substr(0, text.find('\n'));
  constexpr std::string_view kError = "Error: ";
  const size_t at = line.find(kError);
  return printable(trim(at == std::string_view::npos ? line : line.substr(at + kError.size())));
}

// Whether a signal to end is pending for the event loop.
bool is_asked_to_leave() {
  sigset_t pending;
  return sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

// False if the process did not end in time.
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

struct Started {
  pid_t pid = 0;
  UniqueFd output;
};

Result<Started, std::string> start_nft(const std::string& ruleset) {
  const auto input = memory_file("ruleset", ruleset);
  if (!input) return "nft: " + input.error().text;
  auto output = memory_file("messages", {});
  if (!output) return "nft: " + output.error().text;

  char name[] = "nft";
  char option[] = "-f";
  char standard_input[] = "-";
  char* const arguments[] = {name, option, standard_input, nullptr};
  char* const environment[] = {kPath, kLocale, nullptr};
  pid_t pid = -ENOENT;
  for (const char* const path : {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"}) {
    pid = spawn_program(path, arguments, environment, input->get(), output->get());
    if (pid != -ENOENT) break;
  }
  if (pid == -ENOENT) return std::string("nft is not installed");
  if (pid < 0) return std::string("nft: ") + std::strerror(-pid);
  return Started{pid, *std::move(output)};
}

std::string fault_in(int status, int output) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const std::string reason = reason_in(output);
  return "nft: " + (reason.empty() ? end_text(status) : reason);
}

constexpr char kTooLate[] = "nft: did not end in time";

}  // namespace

std::string run_nft(const std::string& ruleset) {
  const auto started = start_nft(ruleset);
  if (!started) return started.error();
  int status = 0;
  if (!wait_for(started->pid, status)) return kTooLate;
  return fault_in(status, started->output.get());
}

NftRun::NftRun(EventLoop& loop)
    : loop_(loop), patience_(loop, [this] {
        too_late_ = true;
        kill(pid_, SIGKILL);
      }) {}

std::string NftRun::start(const std::string& ruleset, Ended ended) {
  auto started = start_nft(ruleset);
  if (!started) return started.error();
  pid_ = started->pid;
  output_ = std::move(started->output);
  ended_ = std::move(ended);
  too_late_ = false;
  patience_.set(loop_.now() + std::chrono::milliseconds(kPatience));
  return {};
}

void NftRun::wait() {
  if (!runs()) return;
  int status = 0;
  if (!wait_for(pid_, status)) too_late_ = true;
  child_ended(pid_, status);
}

bool NftRun::child_ended(pid_t pid, int status) {
  if (pid_ == 0 || pid != pid_) return false;
  const std::string fault = too_late_ ? kTooLate : fault_in(status, output_.get());
  pid_ = 0;
  patience_.set(std::nullopt);
  std::exchange(ended_, nullptr)(fault);
  return true;
}

void NftRun::stop() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  pid_ = 0;
  patience_.set(std::nullopt);
}

}  // namespace knockd
