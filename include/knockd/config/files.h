// SPDX-License-Identifier: MIT
// What the parser asks of the file system: the text of a file that a configuration names, and the
// files that a pattern names. Tests and the fuzzer hand in files of their own.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "knockd/code/secrets_file.h"

namespace knockd {

class ConfigFiles {
 public:
  // Why a file could not be read, an errno value.
  struct Failure {
    int error = 0;
  };
  using Text = std::variant<std::string, Failure>;

  virtual ~ConfigFiles() = default;
  virtual Text read(const std::string& path) = 0;
  // The text of a file of secrets; the error says what is wrong with the file.
  virtual Result<std::string> read_secrets(const std::string& path) = 0;
  // The names that match a shell pattern (see glob(7)), sorted; none is no error.
  virtual std::vector<std::string> matching(const std::string& pattern) = 0;
  // How the program calls the file that a configuration, or its caller, calls `path`.
  virtual std::string path_of(const std::string& path) const { return path; }
};

// The files of this machine.
class SystemFiles : public ConfigFiles {
 public:
  // Relative paths begin at `folder`, also when the working directory is another one by then.
  // Empty: at the working directory.
  explicit SystemFiles(std::string folder = "") : folder_(std::move(folder)) {}

  // A larger file is no configuration (someone named a device): it fails with EFBIG.
  static constexpr size_t kMaxFileSize = 16 << 20;

  Text read(const std::string& path) override;
  Result<std::string> read_secrets(const std::string& path) override {
    return knockd::read_secrets(path);
  }
  std::vector<std::string> matching(const std::string& pattern) override;
  std::string path_of(const std::string& path) const override;

 private:
  std::string folder_;
};

}  // namespace knockd
