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
  kRefused,    // it was complete, but there was no room for it
  kNoSuchCode  // a wrong one, one that was used, or one that is not taken now
};

struct FailedAttempt {
  WallTime time{};
  IpAddress source;
  std::string door;
  std::string interface;
  unsigned stage = 0;  // knocks that were accepted
  AttemptEnd end = AttemptEnd::kWrongKnock;
  std::optional<Knock> came;      // the wrong one
  std::optional<Knock> expected;  // instead
  std::string refused;            // why, of a complete one
};

// "wrong_knock"
const char* name_of(AttemptEnd end);
// "wrong knock tcp 7000, expected udp 8000"
std::string reason_text(const FailedAttempt& attempt);

// Strangers can cause any number of attempts that end at their first knock: only a few of these are
// kept, and one of each source.
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
