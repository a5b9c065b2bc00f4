// SPDX-License-Identifier: MIT
// Text to Config. The whole text is read whatever is wrong in it, so that one run shows every
// error. What is merely doubtful is left to lint/check.h.
#pragma once

#include <string>
#include <string_view>

#include "knockd/base/result.h"
#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/files.h"

namespace knockd {

// Reads the configuration at `path`, the files that it includes and its one-time files. An
// error also if the file itself cannot be read.
Result<Config, ConfigError> load_config(const std::string& path);
Result<Config, ConfigError> load_config(const std::string& path, ConfigFiles& files);

// The same from a text; `name` stands for its path. Other files are read through `files` alone.
Result<Config, ConfigError> parse_config(std::string_view text, const std::string& name,
                                         ConfigFiles& files);

}  // namespace knockd
