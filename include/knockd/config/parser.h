// SPDX-License-Identifier: MIT
// Parses text into a Config. Reads the whole text despite errors, so that one run reports them all.
// lint/check.h warns of doubtful configurations.
#pragma once

#include <string>
#include <string_view>

#include "knockd/base/result.h"
#include "knockd/config/complaint.h"
#include "knockd/config/config.h"
#include "knockd/config/files.h"

namespace knockd {

// Reads the configuration at `path`, the files that it includes and its one-time files. A file that
// cannot be read is an error, too.
Result<Config, ConfigError> load_config(const std::string& path);
Result<Config, ConfigError> load_config(const std::string& path, ConfigFiles& files);

// The same for a text; `name` is used as its path. Other files are read only through `files`.
Result<Config, ConfigError> parse_config(std::string_view text, const std::string& name,
                                         ConfigFiles& files);

}  // namespace knockd
