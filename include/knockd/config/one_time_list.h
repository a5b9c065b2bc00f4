// SPDX-License-Identifier: MIT
// Uses up one-time sequences, for the daemon and its client. The mark in the file prevents a second
// use despite any crash; the lock prevents two programs from using the same line. one_time_file.h
// defines which lines are in force.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "knockd/base/file_calls.h"
#include "knockd/knock/sequence.h"

namespace knockd {

struct OneTimeUse {
  enum class Outcome : uint8_t {
    kMarked,      // its line begins with '#' on disk: the door may open
    kNotInForce,  // it is marked or no longer in the file: the door stays shut
    kBusy,        // another program has locked the file: nothing was done, retry later
    kFailed       // it could not be marked: the door stays shut, and accepts no more knocks
  };
  Outcome outcome = Outcome::kFailed;
  std::string error;     // only for kFailed: the failed call, "write: No space left on device"
  int error_number = 0;  // its errno; 0 if no system call failed
  Sequence used;         // only for kMarked
  std::vector<Sequence> in_force;  // from now on; none after kBusy and kFailed
};

// Marks `knocked` in the file as used, and those of `skipped` that precede it. Uses the present
// file: lines may have been added, moved or removed since they came into force. To be called before
// the start command, which may run only after kMarked. Never blocks.
//
// The path may be a link, but only to a regular file. If the file is replaced meanwhile (by an
// editor), the new one is marked too.
OneTimeUse use_one_time_sequence(const std::string& path, const Sequence& knocked,
                                 const std::vector<Sequence>& skipped,
                                 FileCalls& calls = FileCalls::real());

// The same for the first sequence in force; kNotInForce if none is left.
OneTimeUse use_next_one_time_sequence(const std::string& path,
                                      FileCalls& calls = FileCalls::real());

}  // namespace knockd
