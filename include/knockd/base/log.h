// SPDX-License-Identifier: MIT
// The log: syslog, a file, standard output, each if asked for. Writing never blocks: what a sink
// can't take at once is left out, counted, and told as soon as the sink takes lines again.
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
  // False if the line could not be taken.
  virtual bool write(LogLevel level, std::string_view line) = 0;
  // Opens what has a name anew, as logrotate asks for.
  virtual void reopen() {}
};

// "[YYYY-MM-DD HH:MM] line", local time, appended. `error` becomes an errno if the file can't be
// opened, else 0; the sink tries again with each line.
std::unique_ptr<LogSink> make_file_sink(const std::string& path, int& error);

// A datagram to /dev/log as libc's syslog() sends it: ident with pid, facility user. Not
// libc's own: that waits when the log daemon does not read. Connects again when it was restarted.
std::unique_ptr<LogSink> make_syslog_sink(const std::string& socket_path = "/dev/log",
                                          const std::string& ident = "knockd");

// The line, behind a prefix, on a descriptor that stays the caller's; a pipe or terminal that
// nobody reads is left alone. Lines less urgent than `least` are passed over.
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
