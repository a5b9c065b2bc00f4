// SPDX-License-Identifier: MIT
#include "knockd/lint/code_check.h"

#include <algorithm>
#include <string>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

// Three computed places are 47 bits, four are 63.
constexpr size_t kPlacesOfOneUser = 3;

// Why the codes of a door are too easily guessed; empty if they are strong enough.
std::string weakness_of(const Door& door) {
  const size_t places = door.rule.places.count();
  if (door.rule.places.typed) {
    if (places == kMostCodePlaces) return {};
    return "6 digits: 2.6 % a day for an attacker who knows the fixed knock and never pauses: "
           "expected four places";
  }
  if (places < kPlacesOfOneUser) {
    return format("fewer than %zu places that change are soon guessed: expected four",
                  kPlacesOfOneUser);
  }
  if (places > kPlacesOfOneUser || door.users.size() < 2) return {};
  return format(
      "three places that change, for %zu users: one of them is guessed sooner: expected "
      "four",
      door.users.size());
}

}  // namespace

std::vector<Complaint> check_codes(const Config& config, const Surroundings& surroundings) {
  std::vector<Complaint> warnings;
  const auto warn = [&](const Place& place, std::string message) {
    warnings.push_back({Complaint::Severity::kWarning, place, std::move(message)});
  };
  for (const Door& door : config.doors) {
    if (!door.has_codes()) continue;
    const std::string why = weakness_of(door);
    if (why.empty()) continue;
    warn(door.place_of("Sequence"),
         "sequence " + in_quotes(to_string(door.sequence())) + ": " + why);
  }
  const auto coded = std::ranges::find_if(config.doors, &Door::has_codes);
  if (coded == config.doors.end()) return warnings;
  if (config.bounds.scan_limit > Bounds().scan_limit) {
    warn(config.place_of("Scan_Limit"),
         format("Scan_Limit = %u with door %s: each port more is one guess more at places that "
                "change: expected at most %u",
                config.bounds.scan_limit, in_quotes(coded->name).c_str(), Bounds().scan_limit));
  }
  if (!surroundings.is_clock_in_sync()) {
    warn(coded->place_of("Sequence"),
         "the clock is not in sync: places that change are those of its time: expected an NTP "
         "client to set it");
  }
  return warnings;
}

}  // namespace knockd
