// SPDX-License-Identifier: MIT
#include "knockd/code/used_codes.h"

namespace knockd {
namespace {

constexpr Step kSteps = 1 << 15;  // that a tag can distinguish
constexpr uint16_t kOverIpv6 = 1 << 15;
constexpr int64_t kSecondsOfADay = 86400;

}  // namespace

Step step_of(CodeTag tag, Step now) {
  const Step low = tag.step % kSteps;
  const Step behind = ((now - low) % kSteps + kSteps) % kSteps;
  return behind < kSteps / 2 ? now - behind : now - behind + kSteps;
}

CodeTag code_tag(uint16_t user, Step step, bool is_v4) {
  return {user, static_cast<uint16_t>((step & (kSteps - 1)) | (is_v4 ? 0 : kOverIpv6))};
}

bool is_for_v4(CodeTag tag) { return tag.step < kOverIpv6; }

// --- Used ones -----------------------------------------------------------------------------------

bool UsedCodes::allow(const CodeKnock& knock) const {
  const auto found = last_.find({knock.secret, knock.source.is_v4()});
  if (found == last_.end()) return true;
  const auto& [step, source] = found->second;
  return knock.step > step || (knock.step == step && knock.source == source);
}

Step UsedCodes::last_step(const CodeKnock& knock) const {
  const auto found = last_.find({knock.secret, knock.source.is_v4()});
  return found == last_.end() ? -1 : found->second.first;
}

bool UsedCodes::contain(const CodeKnock& knock) const {
  const auto found = last_.find({knock.secret, knock.source.is_v4()});
  return found != last_.end() && found->second == std::pair(knock.step, knock.source);
}

void UsedCodes::add(const CodeKnock& knock) {
  if (allow(knock)) last_[{knock.secret, knock.source.is_v4()}] = {knock.step, knock.source};
}

// --- Wrong ones ----------------------------------------------------------------------------------

bool WrongCodes::add(const std::string& door, Step now) {
  auto& [step, count, too_many] = wrong_[door];
  if (step != now) count = 0;
  step = now;
  if (++count >= kMostWrongCodes) too_many = now;
  return count == kMostWrongCodes;
}

bool WrongCodes::are_too_many(const std::string& door, Step begun, Step now) const {
  const auto found = wrong_.find(door);
  // A later step dates from before the clock was set back.
  return found != wrong_.end() && found->second.too_many >= begun && found->second.too_many <= now;
}

// --- Known sources -------------------------------------------------------------------------------

bool KnownSources::knows(const std::string& door, const IpAddress& source, int64_t now) const {
  const auto known = doors_.find(door);
  if (known == doors_.end()) return false;
  const auto found = known->second.times.find(source);
  return found != known->second.times.end() && now - found->second < kDays * kSecondsOfADay;
}

void KnownSources::add(const std::string& door, const IpAddress& source, int64_t now) {
  Known& known = doors_[door];
  if (const auto found = known.times.find(source); found != known.times.end()) {
    known.by_time.erase({found->second, source});
    known.times.erase(found);
  } else if (known.times.size() == kMost) {
    known.times.erase(known.by_time.begin()->second);
    known.by_time.erase(known.by_time.begin());
  }
  known.times.emplace(source, now);
  known.by_time.emplace(now, source);
}

}  // namespace knockd
