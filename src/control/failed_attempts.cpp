// SPDX-License-Identifier: MIT
#include "knockd/control/failed_attempts.h"

#include <algorithm>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

bool is_of_stage_one(const FailedAttempt& attempt) { return attempt.stage <= 1; }

std::string knock_text(const Knock& knock) {
  return format("%s %u", protocol_name(knock.protocol), knock.port);
}

}  // namespace

const char* name_of(AttemptEnd end) {
  switch (end) {
    case AttemptEnd::kWrongKnock:
      return "wrong_knock";
    case AttemptEnd::kTooSlow:
      return "too_slow";
    case AttemptEnd::kPortScan:
      return "port_scan";
    case AttemptEnd::kRefused:
      return "refused";
    case AttemptEnd::kNoSuchCode:
      return "no_such_code";
  }
  return "";
}

std::string reason_text(const FailedAttempt& attempt) {
  switch (attempt.end) {
    case AttemptEnd::kWrongKnock: {
      std::string text = "wrong knock";
      if (attempt.came) text += ' ' + knock_text(*attempt.came);
      if (attempt.expected) text += ", expected " + knock_text(*attempt.expected);
      return text;
    }
    case AttemptEnd::kTooSlow:
      return attempt.expected ? "too slow, expected " + knock_text(*attempt.expected) : "too slow";
    case AttemptEnd::kPortScan:
      return "port scan";
    case AttemptEnd::kRefused:
      return "refused: " + attempt.refused;
    case AttemptEnd::kNoSuchCode:
      return attempt.refused.empty() ? "no such code" : "no such code: " + attempt.refused;
  }
  return "";
}

void FailedAttempts::add(FailedAttempt attempt) {
  if (is_of_stage_one(attempt)) {
    std::erase_if(attempts_, [&](const FailedAttempt& one) {
      return is_of_stage_one(one) && one.source == attempt.source;
    });
    const auto of_stage_one = std::count_if(attempts_.begin(), attempts_.end(), is_of_stage_one);
    if (of_stage_one == static_cast<ptrdiff_t>(kMostOfStageOne)) {
      attempts_.erase(std::find_if(attempts_.begin(), attempts_.end(), is_of_stage_one));
    }
  }
  if (attempts_.size() == kMost) attempts_.erase(attempts_.begin());
  attempts_.push_back(std::move(attempt));
}

}  // namespace knockd
