// SPDX-License-Identifier: MIT
// The format of the state file, and its meaning after a crash or a reboot. Pure: text in, facts
// out. StateFile reads and writes it.
//
// A header, then one line for each fact, in order of time:
//
//   <sum> knockd-open-doors version=2 boot-id=<id of the boot>
//   <sum> open id=17 source=192.0.2.7 door=ssh interface=eth0 left=<time> <clocks> stop=<cmd>
//   <sum> extend id=17 left=<time> <clocks>
//   <sum> close id=17 <clocks>
//   <sum> time <clocks>
//
// <sum> is the CRC-32C of the text after the next blank, as 8 hexadecimal digits. <time> is in
// seconds, with nine decimals. Before left= are user= (in `open`), the owner of the code, and
// fleet=, the gateway that set the deadline; each only if there is one. A door of `Open` has
// ports=22,51820:udp prefix=128 set= before stop=; a door of commands for a network has prefix=24
// alone. <clocks> are
//
//   boot=12345.678901234 clock=2026-11-26T00:45:07.123456789Z synced=yes
//
// the boot clock, the wall clock and whether that was synchronized (Moment), when the line was
// written. The door's time ends `left` seconds later. Characters other than printable ASCII are
// written as %XX, and so are '%' and, in a door's or interface's name, blanks.
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
    kDamaged,       // of knockd, but version and boot are unknown
    kOtherVersion,  // of knockd, but this version cannot read it: nothing was read
    kForeign        // not a file of knockd
  };
  struct StoredDoor {
    OpenDoor door;    // deadline by the boot clock of that boot
    Instant written;  // when its deadline was recorded
  };

  Header header = Header::kNone;
  uint32_t version = 0;           // only for kGood and kOtherVersion
  std::string boot_id;            // empty if unknown
  std::vector<StoredDoor> doors;  // not closed, in the order of their opening
  std::optional<Moment> last;     // the last moment in the file
  size_t facts = 0;               // lines that could be read
  size_t skipped = 0;             // bytes outside such lines
};

// Accepts any text. A line is used only if it is exactly what append_fact() writes for its fact;
// others are skipped. If doors share an id, 'close' closes the oldest: an extra run of a stop
// command is better than a missing one.
StateContents parse_state(std::string_view text);

// The doors still to be closed, numbered from 1, with deadlines by this boot's clock.
//
// In the same boot, deadlines stay valid. In another boot, or on another machine with this file,
// the time left is counted from the last moment in the file. Time since then is subtracted only if
// the wall clock was synchronized both then and now; otherwise it is unknown, a jump of the clock
// would close doors early, and no one gets in while the machine is off. So a door never closes
// early, and is open too long at most by the time that was not yet recorded at the power cut (the
// keeper writes 'time' regularly). The time left never exceeds the recorded one, so a clock that
// went back leaves no door open for good.
std::vector<OpenDoor> doors_to_close(StateContents&& contents, std::string_view boot_id,
                                     const Moment& now);

}  // namespace knockd
