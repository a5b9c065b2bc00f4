// SPDX-License-Identifier: MIT
// Histories of a world as text, to print and replay a failed one, and their settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/knock/openings_world.h"

namespace knockd::openings_test {

using History = std::vector<Event>;

// "knock A1, sync, end 0, crash 1": door A, source 1; the first of the running commands; one record
// survives.
std::string to_text(const History& history);
// Nothing if a word is unknown.
std::optional<History> parse_history(std::string_view text);

// The settings for the exhaustive orders of events, by number; those from kFirstRandom on are
// random, with their number as the seed.
inline constexpr uint64_t kFixedSettings = 14;
inline constexpr uint64_t kFirstWithPorts = 10;  // of these
inline constexpr uint64_t kFirstRandom = 1000;
Setting make_setting(uint64_t number);
std::string to_text(const Setting& setting);

// Plays a history in a fresh world and drains it. Returns the failure, or nothing; `trace` receives
// what happened, one line each.
std::string play(const Setting& setting, const History& history, bool hanging,
                 std::vector<std::string>* trace = nullptr);
// The shortest part of a failing history that still fails.
History shorten(const Setting& setting, History history, bool hanging);

}  // namespace knockd::openings_test
