// SPDX-License-Identifier: MIT
// The output of the tracker: the events of doors and, on request, an explanation of each packet.
#pragma once

#include <cstdint>

#include "knockd/base/clock.h"
#include "knockd/knock/code_places.h"
#include "knockd/knock/sequence.h"
#include "knockd/net/packet.h"

namespace knockd {

// The index of a door in the configuration's list.
using DoorNumber = uint16_t;
inline constexpr DoorNumber kNoDoor = 0xffff;

enum class EventKind : uint8_t {
  kStage,     // a knock was accepted, and more are expected; `stage` were accepted
  kOpen,      // the last knock was accepted, of `stage`: OPEN SESAME (no kStage precedes it)
  kTimeout,   // the attempt took too long and is over, at `stage`
  kScan,      // the attempt is over because its source scans ports
  kWrong,     // the attempt is over because `came` was not the expected knock, after `stage` knocks
  kWrongCode  // the same, and `came` is a port that could be typed there
};

struct KnockEvent {
  EventKind kind = EventKind::kStage;
  uint8_t stage = 0;  // knocks accepted so far, 1 to kMaxKnocks
  DoorNumber door = kNoDoor;
  uint32_t generation = 0;  // which of the door's sequences this was (see Tracker::set_sequence)
  uint32_t interface_index = 0;  // of the last packet, if its frame has it; else 0
  IpAddress source;
  // Of the packet that caused the event; unset if time did.
  IpAddress destination{};
  Knock came{};
  CodeTag code{};                  // of kOpen, at a door with codes: the knocked code
  uint8_t wrong_codes_untold = 0;  // of kOpen: whether some may precede it
  uint8_t guesses = 0;             // of kOpen: whether its source knocked too many wrong codes
  Duration took{};                 // of kOpen, at a door with codes: since the first knock

  friend bool operator==(const KnockEvent&, const KnockEvent&) = default;
};

// The outcome of a packet, and why.
enum class Verdict : uint8_t {
  kNotAddressed,    // to an address without doors
  kPortOfNoDoor,    // no door has this port and protocol
  kFlagsRefused,    // a door has the port but refuses these tcp flags
  kRetransmission,  // the same segment as a knock accepted before
  kAccepted,        // the expected knock
  kRepeated,        // the knock just accepted, again
  kWrongKnock,      // not the expected knock: the attempt is over
  kCoolingDown,     // the door ignores knocks for a while after it opened
  kFirstOfNone,     // a knock of some door, but not a first one, and no attempt expects it
  kScanCounted      // a connection attempt counted against the scan limit of this attempt
};

struct Explanation {
  Packet packet;
  Verdict verdict = Verdict::kNotAddressed;
  DoorNumber door = kNoDoor;
  uint8_t stage = 0;  // of the attempt after this packet; of one that ended: before it

  friend bool operator==(const Explanation&, const Explanation&) = default;
};

}  // namespace knockd
