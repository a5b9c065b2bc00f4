// SPDX-License-Identifier: MIT
// The sources of a sequence that is not on the command line: a door of a knockd.conf, of which only
// the directives for knockers are read (Sequence, Secrets, One_Time_Sequences, TCPFlags, and the
// opened port), or the next line of a list of one-time sequences.
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
  std::optional<uint8_t> flags;  // absent: the door accepts a plain connection attempt
  CodePlaces places;             // of the sequence, that change with time
  std::string secrets_file;      // with the secrets for them
  std::string one_time_file;     // not empty: has the sequence instead
  std::optional<uint16_t> port;  // the tcp port that the door opens, if known
};

// The knocks of the door of this name. Uses nothing up.
OrFailure<DoorKnocks> knocks_of_door(const std::string& config_file, const std::string& door);

// Marks the first sequence in force as used, on disk, and returns it. Waits at most `patience` for
// another program that has locked the file.
OrFailure<Sequence> take_one_time_sequence(const std::string& file,
                                           Duration patience = std::chrono::seconds(5));

}  // namespace knockd::client
