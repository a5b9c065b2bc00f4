// SPDX-License-Identifier: MIT
// Small files that may hold secrets.
#pragma once

#include <sys/types.h>

#include <string>

#include "knockd/base/result.h"

namespace knockd {

// Permission bits that must not be set, and words for the error if one is.
struct FileGuard {
  mode_t forbidden = 0;
  const char* others = "";    // "others than its owner"
  const char* expected = "";  // "0600"
};

// The text of a regular file, at most its first `most` bytes. It is read into one allocation,
// because a growing text would leave readable copies behind. The error says what is wrong with the
// file. Never blocks, even if the path names a pipe.
Result<std::string> read_guarded_file(const std::string& path, size_t most, const FileGuard& guard);

}  // namespace knockd
