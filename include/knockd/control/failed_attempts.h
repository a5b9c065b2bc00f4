// SPDX-License-Identifier: MIT
// The last attempts that opened nothing, each with its reason, for people whose knock failed. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/knock/event.h"

namespace knockd {

enum class AttemptEnd : uint8_t {
  kWrongKnock,
  kTooSlow,
  kPortScan,
  kRefused,    // complete, but too many openings or commands
  kNoSuchCode  // wrong, used, or not accepted now
};

struct FailedAttempt {
  WallTime time{};
  IpAddress source;
  std::string door;
  std::string interface;
  unsigned stage = 0;  // accepted knocks
  AttemptEnd end = AttemptEnd::kWrongKnock;
  std::optional<Knock> came;      // the wrong one
  std::optional<Knock> expected;  // instead
  std::string refused;            // why a complete one was refused
};

// "wrong_knock"
const char* name_of(AttemptEnd end);
// "wrong knock tcp 7000, expected udp 8000"
std::string reason_text(const FailedAttempt& attempt);

// Strangers can cause any number of attempts that end at their first knock: keeps only a few of
// these, one of each source.
class FailedAttempts {
 public:
  static constexpr size_t kMost = 50;
  static constexpr size_t kMostOfStageOne = 10;

  void add(FailedAttempt attempt);
  // The oldest first.
  const std::vector<FailedAttempt>& all() const { return attempts_; }

 private:
  std::vector<FailedAttempt> attempts_;
};

}  // namespace knockd
