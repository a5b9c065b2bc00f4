// SPDX-License-Identifier: MIT
// The messages between the keeper and a listener: the whole security boundary. Each has a fixed
// form; messages of a listener are trusted only as far as decode_from_listener checks them. Both
// ends are the same program, so values are in host byte order.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "knockd/knock/door.h"
#include "knockd/knock/event.h"
#include "knockd/knock/sequence.h"
#include "knockd/net/link_type.h"

namespace knockd {

// --- From a listener to the keeper -------------------------------------------------------------

// The capture is open and privileges are dropped: knocks are handled from now on.
struct Listening {
  uint8_t filter_in_kernel = 1;  // 0: refused; every packet of the link is captured
  LinkType link_type = LinkType::kEthernet;
  friend bool operator==(const Listening&, const Listening&) = default;
};

// Why a capture could not be opened or has ended.
enum class CaptureTrouble : uint8_t {
  kNoPermission,
  kNoDevice,
  kDown,
  kLinkType,  // an unsupported link-layer type
  kSandbox,   // the privileges could not be dropped
  kOther
};

struct Trouble {
  CaptureTrouble kind = CaptureTrouble::kOther;
  std::array<char, 200> text{};  // the system's message, with NUL; not sanitized
  friend bool operator==(const Trouble&, const Trouble&) = default;
};

// The events that the listener dropped since its last report; at least one.
struct LeftOut {
  uint64_t lines = 0;   // by Log_Rate
  uint64_t knocks = 0;  // complete ones, for lack of room
  friend bool operator==(const LeftOut&, const LeftOut&) = default;
};

// The counts of a door since the last answer to a StatusRequest.
struct DoorCount {
  DoorNumber door = 0;  // of the tracker
  uint64_t begun = 0;   // attempts
  uint64_t timed_out = 0;
  uint64_t wrong = 0;      // ended by a wrong knock
  uint64_t discarded = 0;  // ended because the source scans ports
  friend bool operator==(const DoorCount&, const DoorCount&) = default;
};

// Sent before the answer, as many as needed.
struct DoorCounts {
  static constexpr size_t kMost = 24;
  uint64_t count = 0;  // 1 to kMost
  std::array<DoorCount, kMost> doors{};
  friend bool operator==(const DoorCounts&, const DoorCounts&) = default;
};

// The answer to StatusRequest; may answer several.
struct ListenerStatus {
  uint64_t packets = 0;  // copied to the listener
  uint64_t dropped = 0;  // lost by the kernel because the listener was slow
  uint32_t sources = 0;  // remembered now
  uint32_t padding = 0;
  friend bool operator==(const ListenerStatus&, const ListenerStatus&) = default;
};

using FromListener =
    std::variant<Listening, KnockEvent, Explanation, LeftOut, Trouble, ListenerStatus, DoorCounts>;

// Whether it is part of the answer to StatusRequest.
inline bool is_answer(const FromListener& message) {
  return std::holds_alternative<ListenerStatus>(message) ||
         std::holds_alternative<DoorCounts>(message);
}

// --- From the keeper to a listener -------------------------------------------------------------

// A part of the list of own addresses. The parts are consecutive; the last one puts the list in
// force.
struct AddressPart {
  static constexpr size_t kMost = 60;
  uint8_t first = 0;
  uint8_t last = 0;
  uint16_t count = 0;
  std::array<IpAddress, kMost> addresses{};
};

// A door's next one-time sequence; `count` 0 closes the door permanently.
struct NextSequence {
  DoorNumber door = 0;
  uint16_t count = 0;
  uint32_t generation = 0;
  std::array<Knock, kMaxKnocks> knocks{};
};

// A part of a door's codes in force from now on. The parts of a door are consecutive; the last one
// puts those of all doors in force.
struct CodesPart {
  static constexpr size_t kMost = 78;
  DoorNumber door = 0;
  uint16_t count = 0;
  uint8_t first = 0;  // of its door
  uint8_t last = 0;   // of all
  uint16_t padding = 0;
  uint32_t generation = 0;
  std::array<Code, kMost> codes{};
};

struct StatusRequest {};

using ToListener = std::variant<AddressPart, NextSequence, StatusRequest, CodesPart>;

// The codes of some doors as parts; empty without doors.
std::vector<CodesPart> codes_parts(const std::vector<DoorCodes>& codes);

// The list of own addresses as parts, at least one.
std::vector<AddressPart> address_parts(const std::vector<IpAddress>& addresses);

// --- As bytes ----------------------------------------------------------------------------------

inline constexpr size_t kLongestMessage =
    8 + std::max({sizeof(AddressPart), sizeof(DoorCounts), sizeof(CodesPart)});
using MessageBytes = std::vector<uint8_t>;

MessageBytes encode(const FromListener& message);
MessageBytes encode(const ToListener& message);

// Nothing if the kind is unknown, the length is not exact, or a value is out of range (a door
// number of `doors` or more, a stage outside 1 to kMaxKnocks with a door, a source that no host has
// ...).
std::optional<FromListener> decode_from_listener(std::span<const uint8_t> bytes, size_t doors);
std::optional<ToListener> decode_to_listener(std::span<const uint8_t> bytes);

}  // namespace knockd
