// SPDX-License-Identifier: MIT
// The log: syslog, a file, standard output, each if configured. Writing never blocks: lines that a
// sink cannot accept are dropped and counted; the count is logged when the sink accepts lines
// again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/unique_fd.h"

namespace knockd {

// The levels that are used, with syslog's numbers (RFC 5424, 6.2.1).
enum class LogLevel : uint8_t { kError = 3, kWarning = 4, kNotice = 5, kInfo = 6 };

// Where one copy of the log goes. A line has no newline at its end and no control bytes.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // False if the line was not written.
  virtual bool write(LogLevel level, std::string_view line) = 0;
  // Reopens a sink that has a path, for logrotate.
  virtual void reopen() {}
};

// "[YYYY-MM-DD HH:MM] line", local time, appended. `error` becomes an errno if the file can't be
// opened, else 0; the sink tries again with each line.
std::unique_ptr<LogSink> make_file_sink(const std::string& path, int& error);

// A datagram to /dev/log as libc's syslog() sends it: ident with pid, facility user. Not libc's
// syslog() itself, which blocks when the log daemon does not read. Reconnects after the log daemon
// restarts.
std::unique_ptr<LogSink> make_syslog_sink(const std::string& socket_path = "/dev/log",
                                          const std::string& ident = "knockd");

// Writes the line after a prefix to a descriptor that the caller owns; drops it if a pipe or
// terminal is full. Ignores lines less urgent than `least`.
std::unique_ptr<LogSink> make_descriptor_sink(int fd, LogLevel least = LogLevel::kInfo,
                                              std::string_view prefix = "");

class Log {
 public:
  void set_sinks(std::vector<std::unique_ptr<LogSink>> sinks);
  void reopen();

  void write(LogLevel level, std::string_view line);
  void notice(std::string_view line) { write(LogLevel::kNotice, line); }
  void info(std::string_view line) { write(LogLevel::kInfo, line); }
  void warning(std::string_view line) { write(LogLevel::kWarning, line); }
  void error(std::string_view line) { write(LogLevel::kError, line); }

 private:
  struct Outlet {
    std::unique_ptr<LogSink> sink;
    uint64_t lost = 0;
  };
  std::vector<Outlet> outlets_;
};

}  // namespace knockd
