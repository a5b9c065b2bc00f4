// SPDX-License-Identifier: MIT
// Where a sequence comes from that is not on the command line: a door of a knockd.conf, of which
// only what concerns a knocker is read (Sequence, Secrets, One_Time_Sequences, TCPFlags, and the
// port that is opened), or the next line of a list of one-time sequences.
#pragma once

#include <optional>
#include <string>

#include "knockd/base/clock.h"
#include "knockd/client/failure.h"
#include "knockd/knock/code_places.h"
#include "knockd/knock/sequence.h"

namespace knockd::client {

struct DoorKnocks {
  Sequence sequence;
  std::optional<uint8_t> flags;  // absent: a plain connection attempt passes the door
  CodePlaces places;             // of the sequence, which change with time
  std::string secrets_file;      // by whose secrets they do
  std::string one_time_file;     // not empty: the sequence is to be taken from there instead
  std::optional<uint16_t> port;  // the tcp port that the door opens, where that can be told
};

// What the door of this name is knocked at with. Uses nothing up.
OrFailure<DoorKnocks> knocks_of_door(const std::string& config_file, const std::string& door);

// Marks the first sequence in force as used, on disk, and returns it. Waits at most so long for
// another program that has locked the file.
OrFailure<Sequence> take_one_time_sequence(const std::string& file,
                                           Duration patience = std::chrono::seconds(5));

}  // namespace knockd::client
