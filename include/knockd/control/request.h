// SPDX-License-Identifier: MIT
// What a caller may ask the daemon for: one line, its words separated by tabs, as a person gives
// them to knockd(8). Pure.
//
//   status [json|table|prometheus]
//   events
//   close all | ADDRESS | DOOR [ADDRESS]
//   open DOOR ADDRESS [TIME]
//
// Where a door is expected, --door=NAME names one that is called like an address, or "all".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/result.h"
#include "knockd/knock/opening.h"

namespace knockd {

struct AskStatus {
  enum class Form : uint8_t { kJson, kTable, kPrometheus } form = Form::kJson;
};
struct AskEvents {};
struct AskClose {
  Selection selection;
};
struct AskOpen {
  std::string door;
  IpAddress address;
  std::optional<Duration> time;  // absent: the door's own
};

using Request = std::variant<AskStatus, AskEvents, AskClose, AskOpen>;

// Longer lines are no requests.
inline constexpr size_t kLongestRequest = 4096;

// The line without its end. The error is one sentence for the caller.
Result<Request> parse_request(std::string_view line);

// The words as a line; the error names a word that cannot be part of one.
Result<std::string> request_line(const std::vector<std::string>& words);

}  // namespace knockd
