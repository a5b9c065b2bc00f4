// SPDX-License-Identifier: MIT
// Files that exist only in a test: pairs of name and text.
#pragma once

#include <errno.h>
#include <fnmatch.h>

#include <map>
#include <string>
#include <vector>

#include "knockd/config/files.h"

namespace knockd {

class TextFiles : public ConfigFiles {
 public:
  std::map<std::string, std::string> texts;

  Text read(const std::string& path) override {
    const auto found = texts.find(path);
    if (found == texts.end()) return Failure{ENOENT};
    return found->second;
  }
  Result<std::string> read_secrets(const std::string& path) override {
    const auto found = texts.find(path);
    if (found == texts.end()) return Fault{"cannot be read: No such file or directory"};
    return found->second;
  }

  std::vector<std::string> matching(const std::string& pattern) override {
    std::vector<std::string> names;
    for (const auto& [name, text] : texts) {
      if (::fnmatch(pattern.c_str(), name.c_str(), FNM_PATHNAME) == 0) names.push_back(name);
    }
    return names;
  }
};

}  // namespace knockd
