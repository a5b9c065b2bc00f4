// SPDX-License-Identifier: MIT
// Small files that may hold secrets.
#pragma once

#include <sys/types.h>

#include <string>

#include "knockd/base/result.h"

namespace knockd {

// Rights that nobody may have, and what to say of a file where somebody has.
struct FileGuard {
  mode_t forbidden = 0;
  const char* others = "";    // "others than its owner"
  const char* expected = "";  // "0600"
};

// The text of a regular file, its first `most` bytes at most. In one piece: what a growing text
// leaves behind would stay readable. The error says what is wrong with the file, which may be of
// any kind: a pipe does not keep its reader waiting.
Result<std::string> read_guarded_file(const std::string& path, size_t most, const FileGuard& guard);

}  // namespace knockd
