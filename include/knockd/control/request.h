// SPDX-License-Identifier: MIT
// The requests to the daemon: one line, its words separated by tabs, as a person gives them to
// knockd(8). Pure.
//
//   status [json|table|prometheus]
//   events
//   close all | ADDRESS | DOOR [ADDRESS]
//   open DOOR ADDRESS [TIME]
//
// In place of DOOR, --door=NAME is for a door named like an address, or "all".
//
// Requests of knockd-fleet, not for people, with plain names of doors:
//
//   fleet-open DOOR ADDRESS SECONDS GATEWAY [USER]
//   fleet-close DOOR ADDRESS GATEWAY
//   fleet-used SECRET STEP ADDRESS GATEWAY
//   fleet-share yes|no
//   fleet-shared ID
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/result.h"
#include "knockd/code/used_codes.h"
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

// A door was opened at another gateway, with this time left.
struct AskFleetOpen {
  std::string door;
  IpAddress address;
  Duration left{};
  std::string gateway;
  std::string user;  // may be empty
};
// A door was closed there by hand.
struct AskFleetClose {
  Selection selection;
  std::string gateway;
};
// A code was used there.
struct AskFleetUsed {
  CodeKnock knock;
};
// Whether codes used here wait until the others know them.
struct AskFleetShare {
  bool share = false;
};
struct AskFleetShared {
  uint64_t id = 0;
};

using Request = std::variant<AskStatus, AskEvents, AskClose, AskOpen, AskFleetOpen, AskFleetClose,
                             AskFleetUsed, AskFleetShare, AskFleetShared>;

// Longer lines are refused.
inline constexpr size_t kLongestRequest = 4096;

// The line without its end. The error is one sentence for the caller.
Result<Request> parse_request(std::string_view line);

// The words as a line; the error names a word that cannot be in one.
Result<std::string> request_line(const std::vector<std::string>& words);

}  // namespace knockd
