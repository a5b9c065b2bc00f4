// SPDX-License-Identifier: MIT
// The files of one folder under names relative to it, so that the parser's messages do not depend
// on the path of the tree.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "knockd/config/files.h"

namespace knockd {

class FolderFiles : public ConfigFiles {
 public:
  explicit FolderFiles(std::string folder) : folder_(std::move(folder) + '/') {}

  Text read(const std::string& path) override { return system_.read(folder_ + path); }
  // Ignores the mode, because a git checkout does not preserve it.
  Result<std::string> read_secrets(const std::string& path) override {
    const Text text = read(path);
    if (std::holds_alternative<Failure>(text)) return Fault{"cannot be read"};
    return std::get<std::string>(text);
  }

  std::vector<std::string> matching(const std::string& pattern) override {
    std::vector<std::string> names = system_.matching(folder_ + pattern);
    for (std::string& name : names) name.erase(0, folder_.size());
    return names;
  }

 private:
  std::string folder_;
  SystemFiles system_;
};

}  // namespace knockd
