// SPDX-License-Identifier: MIT
// Using up one-time sequences, for the daemon and for its client: the mark in the file, by which
// none can be used twice whatever crashes, and the lock, by which two programs do not take the same
// line. Which lines of the text are in force is said in one_time_file.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "knockd/base/file_calls.h"
#include "knockd/knock/sequence.h"

namespace knockd {

struct OneTimeUse {
  enum class Outcome : uint8_t {
    kMarked,      // '#' stands over its line, on disk: the door may open
    kNotInForce,  // the file says that it has been used or taken away: the door stays shut
    kBusy,        // another program has locked the file: nothing was done, try again later
    kFailed       // it could not be marked: the door stays shut, and may not be knocked at any more
  };
  Outcome outcome = Outcome::kFailed;
  std::string error;  // only for kFailed: what the system refused, "write: No space left on device"
  int error_number = 0;            // errno of that; 0 if it was no system call that failed
  Sequence used;                   // only for kMarked
  std::vector<Sequence> in_force;  // from now on; none after kBusy and kFailed
};

// Marks `knocked` in the file as used, and with it those of `skipped` that stand before it; all in
// the file as it is now: lines may have been added, moved or taken away since they came into force.
// To be called before the start command runs, which may run only after kMarked. Waits for nothing.
//
// The path may be a link, but only to a regular file. If someone replaces the file meanwhile (an
// editor that saves), the new one is marked too.
OneTimeUse use_one_time_sequence(const std::string& path, const Sequence& knocked,
                                 const std::vector<Sequence>& skipped,
                                 FileCalls& calls = FileCalls::real());

// The same for the first sequence in force, whatever it is; kNotInForce if none is left.
OneTimeUse use_next_one_time_sequence(const std::string& path,
                                      FileCalls& calls = FileCalls::real());

}  // namespace knockd
