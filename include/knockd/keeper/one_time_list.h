// SPDX-License-Identifier: MIT
// Using up one-time sequences: the mark in the file, by which none can be used twice whatever
// crashes. Which line of the text is in force is said in config/one_time_file.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "knockd/keeper/file_calls.h"
#include "knockd/knock/sequence.h"

namespace knockd {

struct OneTimeUse {
  enum class Outcome : uint8_t {
    kMarked,      // '#' stands over its line, on disk: the door may open
    kNotInForce,  // the file says that it has been used or taken away: the door stays shut
    kFailed       // it could not be marked: the door stays shut, and may not be knocked at any more
  };
  Outcome outcome = Outcome::kFailed;
  std::string error;             // only for kFailed: one sentence for the log
  std::optional<Sequence> next;  // the sequence in force from now on; never any after kFailed
};

// Marks `used` in the file as used and finds the next one, both in the file as it is now: lines may
// have been added, moved or taken away since `used` came into force. To be called before the start
// command runs, which may run only after kMarked.
//
// The path may be a link, but only to a regular file. If someone replaces the file meanwhile (an
// editor that saves), the new one is marked too.
OneTimeUse use_one_time_sequence(const std::string& path, const Sequence& used,
                                 FileCalls& calls = FileCalls::real());

}  // namespace knockd
