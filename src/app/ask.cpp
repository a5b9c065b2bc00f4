// SPDX-License-Identifier: MIT
#include "knockd/app/ask.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "knockd/base/text.h"
#include "knockd/config/parser.h"
#include "knockd/control/control_path.h"
#include "knockd/control/json.h"
#include "knockd/control/request.h"

namespace knockd {
namespace {

constexpr int kNotRunning = 3;
// Longer than the daemon waits for a command.
constexpr timeval kPatience{30, 0};

int fail(const std::string& why, int status = 1) {
  std::fprintf(stderr, "knockd: %s\n", why.c_str());
  return status;
}

// The caller may be neither root nor the daemon's user, but a member of its group.
std::string default_path(const std::string& pid_file) {
  std::string own = control_path("", pid_file);
  return access(own.c_str(), F_OK) == 0 ? own : control_path_of_root();
}

// Nothing else of the configuration matters: a faulty one is used as well.
std::string path_of(const CommandLine& line) {
  if (!line.control.empty()) return line.control;
  const auto loaded = load_config(line.config_file);
  const Config& config = loaded ? *loaded : loaded.error().read;
  if (config.control) return *config.control;
  return default_path(line.pid_file.empty() ? config.pid_file : line.pid_file);
}

int not_connected(const std::string& path) {
  if (errno == EACCES || errno == EPERM) {
    return fail(path +
                ": only the user that knockd runs as and the members of Control_Group may ask");
  }
  const bool is_gone = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
  if (!is_gone) return fail(path + ": " + strerror(errno));
  return fail("knockd is not running, or not asked at " + path, kNotRunning);
}

// With a time limit these calls also end when the process was stopped (^Z) and continues:
// signal(7).
bool connect_to(const SocketPlace& place, int socket) {
  for (;;) {
    if (connect(socket, reinterpret_cast<const sockaddr*>(&place.address), sizeof(place.address)) ==
        0) {
      return true;
    }
    if (errno != EINTR) return false;
  }
}

bool send_all(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    text.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// Reads lines as they arrive.
class Lines {
 public:
  explicit Lines(int socket) : socket_(socket) {}

  // Nothing at the end, or with errno EAGAIN when the daemon is silent for too long.
  std::optional<std::string> next() {
    for (;;) {
      const size_t end = text_.find('\n', looked_at_);
      if (end != std::string::npos) {
        std::string line = text_.substr(0, end);
        text_.erase(0, end + 1);
        looked_at_ = 0;
        return line;
      }
      looked_at_ = text_.size();
      char buffer[65536];
      errno = 0;
      const ssize_t length = recv(socket_, buffer, sizeof(buffer), 0);
      if (length < 0 && errno == EINTR) continue;
      if (length <= 0) return std::nullopt;
      text_.append(buffer, static_cast<size_t>(length));
    }
  }

 private:
  const int socket_;
  std::string text_;
  size_t looked_at_ = 0;
};

bool print(const std::string& line) {
  return std::fputs(line.c_str(), stdout) >= 0 && std::fputc('\n', stdout) != EOF &&
         std::fflush(stdout) == 0;
}

// Prints an answer for people; JSON is printed unchanged, unless it is a refusal.
int print_answer(const std::string& line, bool is_json) {
  const auto answer = parse_answer(line);
  if (!answer && !is_json) return fail("knockd gave an answer that is none");
  if (!answer) return print(line) ? 0 : fail("the answer cannot be written");
  if (answer->status != 0) return fail(answer->text, answer->status);
  std::string text = answer->text;
  while (text.ends_with('\n')) text.pop_back();
  return print(text) ? 0 : fail("the answer cannot be written");
}

int follow(Lines& lines) {
  int status = kNotRunning;
  while (const auto line = lines.next()) {
    if (const auto answer = parse_answer(*line)) return fail(answer->text, answer->status);
    if (!print(*line)) return 1;
    status = line->find("\"event\":\"overrun\"") != std::string::npos ? 1 : kNotRunning;
  }
  return fail(status == 1 ? "too far behind, some events were lost" : "knockd has ended", status);
}

}  // namespace

int ask(const CommandLine& line) {
  const auto request = request_line(line.request);
  if (!request) return fail(request.error().text);
  if (const auto parsed = parse_request(*request); !parsed) return fail(parsed.error().text);
  const std::string path = path_of(line);
  if (path.empty()) return fail("Control is none: this knockd is not to be asked");
  const auto place = place_of_socket(path);
  if (!place) return not_connected(path);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail(fault_of("socket").text);
  const bool events = line.request[0] == "events";
  if (!events) setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  if (!connect_to(*place, socket.get())) return not_connected(path);
  Lines lines(socket.get());
  if (!send_all(socket.get(), *request + '\n')) return fail(path + ": " + strerror(errno));
  if (events) return follow(lines);
  const auto answer = lines.next();
  if (answer) return print_answer(*answer, *request == "status\tjson");
  if (errno == EAGAIN) return fail("knockd does not answer");
  return fail("knockd has ended before it answered", kNotRunning);
}

}  // namespace knockd
