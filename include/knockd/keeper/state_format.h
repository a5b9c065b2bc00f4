// SPDX-License-Identifier: MIT
// The text of the state file, and what it means after a crash or a reboot. Pure: text in, facts
// out. StateFile reads and writes it.
//
// A header, then one line for each fact, in the order in which they became true:
//
//   <sum> knockd-open-doors version=2 boot-id=<id of the boot>
//   <sum> open id=17 source=192.0.2.7 door=ssh interface=eth0 left=<time> <clocks> stop=<cmd>
//   <sum> extend id=17 left=<time> <clocks>
//   <sum> close id=17 <clocks>
//   <sum> time <clocks>
//
// <sum> is the CRC-32C of what follows the blank behind it, as 8 hexadecimal digits. <time> is in
// seconds, with nine decimals. Before left= stand user=, whose code it was, of `open`, and fleet=,
// the gateway by whose word the door is open until then; both only where there is one. A door of
// `Open` has ports=22,51820:udp prefix=128 set= before stop=. <clocks> are
//
//   boot=12345.678901234 clock=2026-11-26T00:45:07.123456789Z synced=yes
//
// the boot clock, the wall clock and whether that was kept right (Moment), when the line was
// written. The door's time is over `left` seconds after that. Other characters than printable ASCII
// are written as %XX, and so are '%' and, in a door's or interface's name, blanks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "knockd/keeper/moment.h"
#include "knockd/knock/opening.h"

namespace knockd {

inline constexpr uint32_t kStateVersion = 2;

enum class Fact : uint8_t { kOpen, kExtend, kClose, kTime };

void append_header(std::string& text, std::string_view boot_id);
// `now` is the moment of writing. kTime has no door.
void append_fact(std::string& text, Fact fact, const OpenDoor& door, const Moment& now);

struct StateContents {
  enum class Header : uint8_t {
    kNone,  // an empty file, or one of zeros, as some file systems leave after a power cut
    kGood,
    kDamaged,       // ours, but version and boot are unknown
    kOtherVersion,  // ours, but this program cannot read it: nothing was read
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
  std::optional<Moment> last;     // the last moment that the file knows
  size_t facts = 0;               // lines that could be read
  size_t skipped = 0;             // bytes in no such line
};

// Accepts any text. A line counts only if it is exactly what append_fact() writes for what it says;
// any other is skipped, and the next one is read. Of doors with one id, 'close' closes the oldest:
// a stop command that runs once too often is better than one that never runs.
StateContents parse_state(std::string_view text);

// The doors that are still to be closed, numbered from 1, with deadlines by this boot's clock.
//
// The same boot: a deadline means what it meant. Another boot, or another machine with this file:
// the time left is counted on from the last moment that the file knows. What passed since then
// counts only if the wall clock was kept right both then and now; otherwise nobody can tell, a jump
// of the clock would close doors early, and no one comes in while the machine is off. So a door is
// never closed early, and open longer than it should be by no more than what passed unwritten
// before the power went (the keeper writes 'time' now and then). In each case the time left is at
// most what it was when it was written, so a clock that went back leaves no door open for good.
std::vector<OpenDoor> doors_to_close(StateContents&& contents, std::string_view boot_id,
                                     const Moment& now);

}  // namespace knockd
