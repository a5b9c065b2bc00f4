// SPDX-License-Identifier: MIT
// The settings of a listener, as values and as bytes: a listener is the program executed again,
// without its keeper's memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "knockd/knock/defaults.h"
#include "knockd/knock/door.h"

namespace knockd {

struct ListenerSettings {
  std::string interface;              // "any" for all
  std::vector<DoorRule> doors;        // by door number
  std::vector<uint32_t> generations;  // of the doors' sequences, by door number
  std::vector<IpAddress> own_addresses;
  Bounds bounds;
  bool only_v4 = false;
  bool explain = false;  // explain each packet

  friend bool operator==(const ListenerSettings&, const ListenerSettings&) = default;
};

// Limits of settings; no interface has a longer name, no host this many addresses.
inline constexpr size_t kLongestInterfaceName = 31;
inline constexpr size_t kMostSettingsDoors = 65535;
inline constexpr size_t kMostSettingsAddresses = size_t{1} << 20;
inline constexpr size_t kMostSettingsCodes = size_t{1} << 20;  // of all doors
inline constexpr size_t kLongestSettings = size_t{64} << 20;   // bytes

// As bytes in host order: both ends are the same program. Nothing if the settings are out of
// bounds.
std::optional<std::vector<uint8_t>> encode(const ListenerSettings& settings);
// Nothing if the length is not exact or a value is out of range.
std::optional<ListenerSettings> decode_settings(std::span<const uint8_t> bytes);

}  // namespace knockd
