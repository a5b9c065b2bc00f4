// SPDX-License-Identifier: MIT
// Text to Config. The whole text is read whatever is wrong in it, so that one run shows every
// error. What is merely doubtful is left to check.h.
#pragma once

#include <string>
#include <string_view>

#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/files.h"

namespace knockd {

// Reads the configuration at `path`, the files that it includes and its one-time files. Throws
// ConfigError, also if the file itself cannot be read.
Config load_config(const std::string& path);
Config load_config(const std::string& path, ConfigFiles& files);

// The same from a text; `name` stands for its path. Other files are read through `files` alone.
Config parse_config(std::string_view text, const std::string& name, ConfigFiles& files);

}  // namespace knockd
