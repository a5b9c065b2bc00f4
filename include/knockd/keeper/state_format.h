// SPDX-License-Identifier: MIT
// What the file of open doors looks like on disk, and what its bytes mean after a crash or a
// reboot. Pure: bytes in, facts out. StateFile does the reading and writing.
//
// Numbers are in network order. A file is a header and any number of records:
//
//   header   "KNOCKDOD"  version:u32  boot id:36 bytes  crc32c of the 48 bytes before:u32
//   record   mark:u32  length of payload:u32  crc32c of payload:u32  crc32c of the 12 bytes
//   before:u32
//            payload: kind:u8  boot clock:i64  wall clock:i64  wall clock is kept:u8, then by kind
//     opened    id:u64  deadline:i64  source:16 bytes  door, interface, stop command: length:u32,
//     bytes extended  id:u64  deadline:i64 closed    id:u64 passed    nothing: the clocks alone
//
// Clocks are in nanoseconds. Since records carry a mark and a checksum of their own, those behind a
// damaged place, or in a file with a damaged header, are found by looking for the next mark.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/keeper/moment.h"
#include "knockd/knock/open_door.h"

namespace knockd {

inline constexpr uint32_t kStateVersion = 1;

using Bytes = std::vector<uint8_t>;

// Each appends to `bytes`; `now` is the moment of writing.
void append_state_header(Bytes& bytes, std::string_view boot_id);
void append_opened(Bytes& bytes, const OpenDoor& door, const Moment& now);
void append_extended(Bytes& bytes, const OpenDoor& door, const Moment& now);
void append_closed(Bytes& bytes, const OpenDoor& door, const Moment& now);
void append_passed(Bytes& bytes, const Moment& now);

inline constexpr size_t kStateHeaderSize = 52;

// Bytes of the door's 'opened' record.
size_t opened_size(const OpenDoor& door);

struct StateContents {
  enum class Header : uint8_t {
    kNone,  // an empty file, or one of zeros, as some file systems leave after a power cut
    kGood,
    kDamaged,       // ours, but version and boot are unknown
    kOtherVersion,  // ours, but not to be read by this program: nothing was
    kForeign        // no file of ours
  };
  struct StoredDoor {
    OpenDoor door;    // deadline by the boot clock of that boot
    Instant written;  // when its deadline was written down
  };

  Header header = Header::kNone;
  uint32_t version = 0;           // only for kGood and kOtherVersion
  std::string boot_id;            // empty if unknown
  std::vector<StoredDoor> doors;  // those not closed, in the order in which they were opened
  std::optional<Moment> last;     // the last moment of which the file knows
  size_t records = 0;             // that could be read
  size_t skipped = 0;             // bytes that are no record
};

// Takes any bytes. Of doors with one id each 'closed' closes the oldest: a stop command that runs
// once too often is better than one that never runs.
StateContents parse_state(std::span<const uint8_t> bytes);

// The doors that are still to be closed, numbered from 1, with deadlines by this boot's clock.
//
// The same boot: a deadline means what it meant. Another boot, or another machine with this file:
// the time left is counted on from the last moment that the file knows of. What passed since then
// counts only if the wall clock was kept right both then and now; otherwise nobody can tell, a jump
// of the clock would close doors early, and no one comes in while the machine is off. So a door is
// never closed early, and open longer than it should be by no more than what passed unwritten
// before the power went (the keeper writes 'passed' now and then). In each case the time left is at
// most what it was when it was written, so a clock that went back leaves no door open for good.
std::vector<OpenDoor> doors_to_close(StateContents&& contents, std::string_view boot_id,
                                     const Moment& now);

}  // namespace knockd
