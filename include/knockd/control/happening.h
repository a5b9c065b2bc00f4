// SPDX-License-Identifier: MIT
// The events of --events: a JSON object a line. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "knockd/control/failed_attempts.h"
#include "knockd/control/json.h"

namespace knockd {

enum class HappeningKind : uint8_t {
  kStage,
  kOpen,  // or renewed
  kRefused,
  kClosed,
  kTimeout,
  kWrong,
  kWrongCode,
  kScan,
  kCommandFailed,
  kReload,
  kInterface,
  kCode,    // one was used up
  kOverrun  // the reader was too slow: the last it gets
};

// The keys are those of the JSON; an empty or absent member has none.
struct Happening {
  HappeningKind event = HappeningKind::kStage;
  WallTime time{};
  std::string door{};
  std::optional<IpAddress> address{};
  std::string network{};  // that is let in
  std::string interface {};
  std::optional<WallTime> until{};
  bool renewed = false;  // of kOpen
  std::string user{};    // whose code was knocked
  std::string fleet{};   // the gateway by whose word this happens
  uint64_t id = 0;       // of the opening
  unsigned stage = 0;    // knocks that were accepted
  std::optional<Knock> came{};
  std::optional<Knock> expected{};
  std::string why{};
  const char* by = nullptr;  // of kClosed: "time", "hand", "fleet" or "shutdown"
  std::string secret{};      // of kCode: its id
  uint64_t step = 0;         // and the step of time
};

std::string to_json(const Happening& happening);
// A member of an object; none without a knock.
void write_knock(JsonWriter& json, const char* key, const std::optional<Knock>& knock);

// The last line for a reader that is cut off because it was too slow.
std::string overrun_json(WallTime time);

}  // namespace knockd
