// SPDX-License-Identifier: MIT
#include "knockd/listener/fresh_listener.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/memory_file.h"
#include "knockd/listener/listener.h"
#include "knockd/message/messages.h"

namespace knockd {
namespace {

// The name in ps; the interface follows.
constexpr std::string_view kName = "knockd: listener";
// Exit status of a listener without settings, as in a trial start.
constexpr int kNoSettings = 75;

// The program that each listener executes. Set by prepare_fresh_listeners.
UniqueFd program;

// The variables that tell the loader where libraries are; a listener needs no others.
std::vector<char*> loader_environment() {
  std::vector<char*> entries;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "LD_", 3) == 0) entries.push_back(*entry);
  }
  entries.push_back(nullptr);
  return entries;
}

// Executes the program again with the settings as standard input and the channel as standard
// output. Returns only on failure.
Fault become(std::string name, std::span<const uint8_t> settings, int channel) {
  const auto file = memory_file("knockd-settings",
                                {reinterpret_cast<const char*>(settings.data()), settings.size()});
  if (!file) return file.error();
  if (dup2(file->get(), STDIN_FILENO) < 0 || dup2(channel, STDOUT_FILENO) < 0) {
    return fault_of("dup2");
  }
  char* const arguments[] = {name.data(), nullptr};
  fexecve(program.get(), arguments, loader_environment().data());
  return fault_of("execveat");
}

// Tests a start, with everything that listeners need.
Status try_it() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fault_of("pipe");
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t child = fork();
  if (child < 0) return fault_of("fork");
  if (child == 0) {
    const Fault fault = become(std::string(kName), {}, writing.get());
    [[maybe_unused]] const ssize_t told =
        write(writing.get(), fault.text.data(), fault.text.size());
    _exit(1);
  }
  writing.reset();
  char text[200];
  const ssize_t length = read(reading.get(), text, sizeof(text));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoSettings) return {};
  return Fault{length > 0 ? std::string(text, static_cast<size_t>(length))
                          : "/proc/self/exe is not this program"};
}

std::optional<ListenerSettings> read_settings() {
  struct stat status {};
  if (fstat(STDIN_FILENO, &status) != 0 || status.st_size <= 0 ||
      static_cast<uint64_t>(status.st_size) > kLongestSettings) {
    return std::nullopt;
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
  size_t length = 0;
  while (length < bytes.size()) {
    const ssize_t got = read(STDIN_FILENO, bytes.data() + length, bytes.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    length += static_cast<size_t>(got);
  }
  return decode_settings(bytes);
}

}  // namespace

Status prepare_fresh_listeners() {
  program.reset(open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (!program) return fault_of("/proc/self/exe");
  return try_it();
}

int start_fresh_listener(const ListenerSettings& settings, Channel channel) {
  const auto bytes = encode(settings);
  const Fault fault =
      bytes ? become(std::string(kName) + ' ' + settings.interface, *bytes, channel.fd())
            : Fault{"settings out of bounds"};
  Trouble trouble;
  fault.text.copy(trouble.text.data(), trouble.text.size() - 1);
  channel.send_waiting(encode(FromListener(trouble)));
  return 1;
}

bool is_fresh_listener(int argc, char** argv) {
  return argc == 1 && std::string_view(argv[0]).starts_with(kName);
}

int run_fresh_listener() {
  const auto settings = read_settings();
  if (!settings) return kNoSettings;
  Channel channel(UniqueFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)));
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null || dup2(null.get(), STDIN_FILENO) < 0 || dup2(null.get(), STDOUT_FILENO) < 0) return 1;
  return run_listener(*settings, std::move(channel));
}

}  // namespace knockd
