// SPDX-License-Identifier: MIT
// The events of --events: one JSON object per line. Pure.
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
  kCode,    // a code was used up
  kOverrun  // the reader was too slow: its last event
};

// The keys of the JSON; empty and absent members are left out.
struct Happening {
  HappeningKind event = HappeningKind::kStage;
  WallTime time{};
  std::string door{};
  std::optional<IpAddress> address{};
  std::string network{};  // the admitted network
  std::string interface {};
  std::optional<WallTime> until{};
  bool renewed = false;  // of kOpen
  std::string user{};    // the owner of the code
  std::string fleet{};   // the gateway that requested this
  uint64_t id = 0;       // of the opening
  unsigned stage = 0;    // accepted knocks
  std::optional<Knock> came{};
  std::optional<Knock> expected{};
  std::string why{};
  const char* by = nullptr;  // of kClosed: "time", "hand", "fleet" or "shutdown"
  std::string secret{};      // of kCode: its id
  uint64_t step = 0;         // its step of time
};

std::string to_json(const Happening& happening);
// Writes a member of an object, unless the knock is absent.
void write_knock(JsonWriter& json, const char* key, const std::optional<Knock>& knock);

// The last line for a reader that is disconnected because it was too slow.
std::string overrun_json(WallTime time);

}  // namespace knockd
