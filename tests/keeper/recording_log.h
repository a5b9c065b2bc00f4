// SPDX-License-Identifier: MIT
// A log whose lines a test can read.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/base/log.h"

namespace knockd {

class RecordingLog {
 public:
  RecordingLog() {
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<Sink>(lines_));
    log_.set_sinks(std::move(sinks));
  }
  operator Log&() { return log_; }

  // What was logged since the last call.
  std::vector<std::string> take() { return std::exchange(lines_, {}); }
  const std::vector<std::string>& lines() const { return lines_; }
  bool has(const std::string& line) const {
    return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
  }

 private:
  class Sink : public LogSink {
   public:
    explicit Sink(std::vector<std::string>& lines) : lines_(lines) {}
    bool write(LogLevel, std::string_view line) override {
      lines_.emplace_back(line);
      return true;
    }

   private:
    std::vector<std::string>& lines_;
  };

  std::vector<std::string> lines_;
  Log log_;
};

}  // namespace knockd
