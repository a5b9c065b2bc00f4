// SPDX-License-Identifier: MIT
#include "knockd/message/settings.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

namespace knockd {
namespace {

// The head, a record for each door, one for each address, and one for each code, door by door.
struct Head {
  std::array<char, kLongestInterfaceName + 1> interface {};  // ended by NUL
  uint32_t doors = 0;
  uint32_t addresses = 0;
  uint32_t codes = 0;
  Bounds bounds;
  uint8_t only_v4 = 0;
  uint8_t explain = 0;
  uint16_t padding[3] = {};
};

struct DoorRecord {
  Duration::rep seq_timeout = 0;
  Duration::rep seq_cooldown = 0;
  uint32_t generation = 0;
  FlagMask flags;
  uint8_t has_target = 0;
  uint8_t knocks = 0;
  uint8_t typed = 0;
  uint32_t codes = 0;
  uint32_t places = 0;
  IpAddress target{};
  std::array<Knock, kMaxKnocks> sequence{};
};

template <typename Record>
void append(std::vector<uint8_t>& bytes, const Record& record) {
  static_assert(std::is_trivially_copyable_v<Record>);
  const auto* const begin = reinterpret_cast<const uint8_t*>(&record);
  bytes.insert(bytes.end(), begin, begin + sizeof(record));
}

template <typename Record>
Record take(std::span<const uint8_t>& bytes) {
  Record record;
  std::memcpy(&record, bytes.data(), sizeof(record));
  bytes = bytes.subspan(sizeof(record));
  return record;
}

size_t length_of(const Head& head) {
  return sizeof(Head) + head.doors * sizeof(DoorRecord) + head.addresses * sizeof(IpAddress) +
         head.codes * sizeof(Code);
}

bool is_sound(const Head& head) {
  return head.doors <= kMostSettingsDoors && head.addresses <= kMostSettingsAddresses &&
         head.codes <= kMostSettingsCodes && length_of(head) <= kLongestSettings &&
         head.only_v4 <= 1 && head.explain <= 1 && head.interface.front() != '\0' &&
         head.interface.back() == '\0';
}

bool is_sound(const DoorRecord& record) {
  const CodePlaces places{record.places, record.typed != 0};
  return record.has_target <= 1 && record.knocks <= kMaxKnocks && record.typed <= 1 &&
         record.codes <= kMostCodes && places.count() <= kMostCodePlaces &&
         std::bit_width(record.places) <= record.knocks && record.seq_timeout >= 0 &&
         record.seq_cooldown >= 0 &&
         std::all_of(record.sequence.begin(), record.sequence.begin() + record.knocks,
                     [](const Knock& knock) {
                       return knock.port != 0 && (knock.protocol == Protocol::kTcp ||
                                                  knock.protocol == Protocol::kUdp);
                     });
}

DoorRecord record_of(const DoorRule& door, uint32_t generation) {
  DoorRecord record;
  record.seq_timeout = door.seq_timeout.count();
  record.seq_cooldown = door.seq_cooldown.count();
  record.generation = generation;
  record.flags = door.flags;
  record.has_target = door.target.has_value() ? 1 : 0;
  record.target = door.target.value_or(IpAddress());
  record.places = door.places.places;
  record.typed = door.places.typed ? 1 : 0;
  record.codes = static_cast<uint32_t>(door.codes.size());
  record.knocks = static_cast<uint8_t>(door.sequence.size());
  std::copy(door.sequence.begin(), door.sequence.end(), record.sequence.begin());
  return record;
}

DoorRule rule_of(const DoorRecord& record) {
  DoorRule door;
  door.seq_timeout = Duration(record.seq_timeout);
  door.seq_cooldown = Duration(record.seq_cooldown);
  door.flags = record.flags;
  door.places = {record.places, record.typed != 0};
  if (record.has_target != 0) door.target = record.target;
  door.sequence.assign(record.sequence.begin(), record.sequence.begin() + record.knocks);
  return door;
}

}  // namespace

std::optional<std::vector<uint8_t>> encode(const ListenerSettings& settings) {
  const auto too_long = [](const DoorRule& door) {
    return door.sequence.size() > kMaxKnocks || door.codes.size() > kMostCodes;
  };
  if (settings.interface.size() > kLongestInterfaceName ||
      settings.doors.size() > kMostSettingsDoors ||
      settings.doors.size() != settings.generations.size() ||
      settings.own_addresses.size() > kMostSettingsAddresses ||
      std::any_of(settings.doors.begin(), settings.doors.end(), too_long)) {
    return std::nullopt;
  }
  Head head;
  settings.interface.copy(head.interface.data(), kLongestInterfaceName);
  head.doors = static_cast<uint32_t>(settings.doors.size());
  head.addresses = static_cast<uint32_t>(settings.own_addresses.size());
  for (const DoorRule& door : settings.doors) {
    head.codes += static_cast<uint32_t>(door.codes.size());
  }
  head.bounds = settings.bounds;
  head.only_v4 = settings.only_v4 ? 1 : 0;
  head.explain = settings.explain ? 1 : 0;
  if (!is_sound(head)) return std::nullopt;
  std::vector<uint8_t> bytes;
  bytes.reserve(length_of(head));
  append(bytes, head);
  for (size_t i = 0; i < settings.doors.size(); ++i) {
    append(bytes, record_of(settings.doors[i], settings.generations[i]));
  }
  for (const IpAddress& address : settings.own_addresses) append(bytes, address);
  for (const DoorRule& door : settings.doors) {
    for (const Code& code : door.codes) append(bytes, code);
  }
  return bytes;
}

std::optional<ListenerSettings> decode_settings(std::span<const uint8_t> bytes) {
  if (bytes.size() < sizeof(Head)) return std::nullopt;
  const size_t length = bytes.size();
  const Head head = take<Head>(bytes);
  if (!is_sound(head) || length != length_of(head)) return std::nullopt;
  ListenerSettings settings;
  uint64_t codes = 0;
  settings.interface = head.interface.data();
  settings.bounds = head.bounds;
  settings.only_v4 = head.only_v4 != 0;
  settings.explain = head.explain != 0;
  for (uint32_t i = 0; i < head.doors; ++i) {
    const auto record = take<DoorRecord>(bytes);
    if (!is_sound(record)) return std::nullopt;
    settings.doors.push_back(rule_of(record));
    codes += record.codes;
    if (codes > head.codes) return std::nullopt;
    settings.doors.back().codes.resize(record.codes);
    settings.generations.push_back(record.generation);
  }
  if (codes != head.codes) return std::nullopt;
  for (uint32_t i = 0; i < head.addresses; ++i) {
    settings.own_addresses.push_back(take<IpAddress>(bytes));
  }
  for (DoorRule& door : settings.doors) {
    for (Code& code : door.codes) code = take<Code>(bytes);
  }
  return settings;
}

}  // namespace knockd
