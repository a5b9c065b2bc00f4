// SPDX-License-Identifier: MIT
#include "knockd/base/log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "knockd/base/text.h"

namespace knockd {
namespace {

tm local_time() {
  const time_t now = time(nullptr);
  tm parts{};
  localtime_r(&now, &parts);
  return parts;
}

// Pipes, sockets and terminals may be full; then nothing is written, so that a line is whole or
// absent. (A writable pipe has room for PIPE_BUF bytes: pipe(7).)
bool has_room(int fd) {
  pollfd wish{fd, POLLOUT, 0};
  return poll(&wish, 1, 0) == 1 && (wish.revents & POLLOUT) != 0;
}

class FileSink : public LogSink {
 public:
  explicit FileSink(const std::string& path) : path_(path) { open(); }
  bool is_open() const { return static_cast<bool>(fd_); }

  bool write(LogLevel, std::string_view line) override {
    if (!fd_) open();
    if (!fd_) return false;
    const tm time = local_time();
    std::string text =
        format("%s[%04d-%02d-%02d %02d:%02d] ", torn_ ? "\n" : "", time.tm_year + 1900,
               time.tm_mon + 1, time.tm_mday, time.tm_hour, time.tm_min);
    text += line;
    text += '\n';
    if (!has_room(fd_.get())) return false;
    const ssize_t written = ::write(fd_.get(), text.data(), text.size());
    if (written == static_cast<ssize_t>(text.size())) {
      torn_ = false;
      return true;
    }
    if (written > 0) torn_ = true;  // the disk has just become full
    return false;
  }

  void reopen() override {
    fd_.reset();
    open();
  }

 private:
  void open() {
    // O_NONBLOCK for a FIFO. O_RDWR, which Linux allows, opens it also without a reader.
    struct stat status {};
    const bool fifo = stat(path_.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
    fd_.reset(::open(
        path_.c_str(),
        (fifo ? O_RDWR : O_WRONLY) | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640));
    torn_ = false;
  }

  const std::string path_;
  UniqueFd fd_;
  bool torn_ = false;  // the last line has no end
};

class SyslogSink : public LogSink {
 public:
  SyslogSink(const std::string& socket_path, const std::string& ident)
      : socket_path_(socket_path), ident_(ident) {
    connect();
  }

  bool write(LogLevel level, std::string_view line) override {
    // The format of RFC 3164, which every /dev/log accepts; facility user is 1.
    char time_text[32];
    const tm time = local_time();
    // Month names are English: the program never calls setlocale.
    strftime(time_text, sizeof(time_text), "%b %e %H:%M:%S", &time);
    std::string text = format("<%d>%s %s[%d]: ", 1 * 8 + static_cast<int>(level), time_text,
                              ident_.c_str(), getpid());
    text += line;
    return send(text) || (connect() && send(text));
  }

  void reopen() override { connect(); }

 private:
  bool send(const std::string& text) {
    return fd_ && ::send(fd_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
                      static_cast<ssize_t>(text.size());
  }

  bool connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    fd_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd_ &&
        ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      fd_.reset();
    }
    return static_cast<bool>(fd_);
  }

  const std::string socket_path_;
  const std::string ident_;
  UniqueFd fd_;
};

class DescriptorSink : public LogSink {
 public:
  DescriptorSink(int fd, LogLevel least, std::string_view prefix)
      : fd_(fd), least_(least), prefix_(prefix) {}

  bool write(LogLevel level, std::string_view line) override {
    if (level > least_) return true;
    std::string text = torn_ ? "\n" : "";
    text += prefix_;
    text += line;
    text.resize(std::min<size_t>(text.size(), PIPE_BUF - 1));
    text += '\n';
    if (!has_room(fd_)) return false;
    const UniqueFd terminal = own_terminal();
    const ssize_t written = ::write(terminal ? terminal.get() : fd_, text.data(), text.size());
    if (written > 0) torn_ = written < static_cast<ssize_t>(text.size());
    return written == static_cast<ssize_t>(text.size());
  }

 private:
  // A writable terminal may have room for a byte but not for a line. A new open file can be
  // non-blocking; the inherited descriptor shares its state with the user's shell. Nothing if it is
  // not a terminal; checked for each line, because a daemon may replace the descriptor's file.
  UniqueFd own_terminal() const {
    if (isatty(fd_) == 0) return UniqueFd();
    return UniqueFd(open(format("/proc/self/fd/%d", fd_).c_str(),
                         O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  }

  const int fd_;
  const LogLevel least_;
  const std::string prefix_;
  bool torn_ = false;  // the last line has no end
};

}  // namespace

std::unique_ptr<LogSink> make_file_sink(const std::string& path, int& error) {
  auto sink = std::make_unique<FileSink>(path);
  error = sink->is_open() ? 0 : errno;
  return sink;
}

std::unique_ptr<LogSink> make_syslog_sink(const std::string& socket_path,
                                          const std::string& ident) {
  return std::make_unique<SyslogSink>(socket_path, ident);
}

std::unique_ptr<LogSink> make_descriptor_sink(int fd, LogLevel least, std::string_view prefix) {
  return std::make_unique<DescriptorSink>(fd, least, prefix);
}

void Log::set_sinks(std::vector<std::unique_ptr<LogSink>> sinks) {
  outlets_.clear();
  for (auto& sink : sinks) outlets_.push_back({std::move(sink), 0});
}

void Log::reopen() {
  for (Outlet& outlet : outlets_) outlet.sink->reopen();
}

void Log::write(LogLevel level, std::string_view line) {
  for (Outlet& outlet : outlets_) {
    if (outlet.lost != 0) {
      const std::string note = counted(outlet.lost, "log line") + " could not be written";
      if (outlet.sink->write(LogLevel::kWarning, note)) outlet.lost = 0;
    }
    if (outlet.lost != 0 || !outlet.sink->write(level, line)) ++outlet.lost;
  }
}

}  // namespace knockd
