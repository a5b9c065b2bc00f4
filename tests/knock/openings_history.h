// SPDX-License-Identifier: MIT
// Histories of a world as text, to print one that failed and to play it again, and the settings
// they happen in.
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
// Nothing if a word is none of these.
std::optional<History> parse_history(std::string_view text);

// The settings that every order of events is tried in, by number; those from kFirstRandom on are
// drawn by their number.
inline constexpr uint64_t kFixedSettings = 14;
inline constexpr uint64_t kFirstWithPorts = 10;  // of these
inline constexpr uint64_t kFirstRandom = 1000;
Setting make_setting(uint64_t number);
std::string to_text(const Setting& setting);

// Plays a history in a fresh world and drains it. The failure, or nothing; `trace` gets what
// happened, a line each.
std::string play(const Setting& setting, const History& history, bool hanging,
                 std::vector<std::string>* trace = nullptr);
// As much of a failing history left out as can be.
History shorten(const Setting& setting, History history, bool hanging);

}  // namespace knockd::openings_test
