// SPDX-License-Identifier: MIT
// The few messages between the keeper and a listener: the whole of the security boundary. Each has
// a fixed form; what comes from a listener is believed only as far as decode_from_listener checks
// it. Both ends are the same program, so values stand in the machine's own byte order.
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

// The capture is open and the rights are given up: knocks are heard from now on.
struct Listening {
  uint8_t filter_in_kernel = 1;  // 0: refused; every packet of the link is looked at
  LinkType link_type = LinkType::kEthernet;
  friend bool operator==(const Listening&, const Listening&) = default;
};

// Why a capture could not be opened or went on no longer.
enum class CaptureTrouble : uint8_t {
  kNoPermission,
  kNoDevice,
  kDown,
  kLinkType,  // a link-layer type that is not understood
  kSandbox,   // the rights could not be given up
  kOther
};

struct Trouble {
  CaptureTrouble kind = CaptureTrouble::kOther;
  std::array<char, 200> text{};  // what the system said, ended by NUL; not clean
  friend bool operator==(const Trouble&, const Trouble&) = default;
};

// What the listener left out since it last said so; not nothing.
struct LeftOut {
  uint64_t lines = 0;   // for Log_Rate
  uint64_t knocks = 0;  // complete ones, for which there was no room
  friend bool operator==(const LeftOut&, const LeftOut&) = default;
};

// What happened at a door since the last answer to a StatusRequest.
struct DoorCount {
  DoorNumber door = 0;  // of the tracker
  uint64_t begun = 0;   // attempts
  uint64_t timed_out = 0;
  uint64_t wrong = 0;      // ended by a wrong knock
  uint64_t discarded = 0;  // ended because the source scans ports
  friend bool operator==(const DoorCount&, const DoorCount&) = default;
};

// Goes before the answer, as often as it takes.
struct DoorCounts {
  static constexpr size_t kMost = 24;
  uint64_t count = 0;  // 1 to kMost
  std::array<DoorCount, kMost> doors{};
  friend bool operator==(const DoorCounts&, const DoorCounts&) = default;
};

// The answer to StatusRequest; one may answer several.
struct ListenerStatus {
  uint64_t packets = 0;  // copied to the listener
  uint64_t dropped = 0;  // lost by the kernel because the listener was slow
  uint32_t sources = 0;  // remembered now
  uint32_t padding = 0;
  friend bool operator==(const ListenerStatus&, const ListenerStatus&) = default;
};

using FromListener =
    std::variant<Listening, KnockEvent, Explanation, LeftOut, Trouble, ListenerStatus, DoorCounts>;

// --- From the keeper to a listener -------------------------------------------------------------

// A part of the list of own addresses. The parts follow each other; the last one puts the list in
// force.
struct AddressPart {
  static constexpr size_t kMost = 60;
  uint8_t first = 0;
  uint8_t last = 0;
  uint16_t count = 0;
  std::array<IpAddress, kMost> addresses{};
};

// A door's next one-time sequence; `count` 0 closes the door for good.
struct NextSequence {
  DoorNumber door = 0;
  uint16_t count = 0;
  uint32_t generation = 0;
  std::array<Knock, kMaxKnocks> knocks{};
};

// A part of a door's codes, all that are in force from now on. The parts of a door follow each
// other; the last one puts in force what came of all doors.
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

// The codes of some doors as parts; none without a door.
std::vector<CodesPart> codes_parts(const std::vector<DoorCodes>& codes);

// The list of own addresses as parts, at least one.
std::vector<AddressPart> address_parts(const std::vector<IpAddress>& addresses);

// --- As bytes ----------------------------------------------------------------------------------

inline constexpr size_t kLongestMessage =
    8 + std::max({sizeof(AddressPart), sizeof(DoorCounts), sizeof(CodesPart)});
using MessageBytes = std::vector<uint8_t>;

MessageBytes encode(const FromListener& message);
MessageBytes encode(const ToListener& message);

// Nothing if the kind is unknown, the length is not exactly right, or a value is out of its range
// (a door number of `doors` or more, a stage outside 1 to kMaxKnocks where there is a door, a
// source that no host has ...).
std::optional<FromListener> decode_from_listener(std::span<const uint8_t> bytes, size_t doors);
std::optional<ToListener> decode_to_listener(std::span<const uint8_t> bytes);

}  // namespace knockd
