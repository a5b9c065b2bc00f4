// SPDX-License-Identifier: MIT
// The parser's access to the file system: the text of a file, and the files that match a pattern.
// Tests and the fuzzer pass files of their own.
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
  // The names that match a shell pattern (see glob(7)), sorted; may be empty.
  virtual std::vector<std::string> matching(const std::string& pattern) = 0;
  // The path by which the program opens the file that a configuration, or the caller, names `path`.
  virtual std::string path_of(const std::string& path) const { return path; }
};

// The files of this machine.
class SystemFiles : public ConfigFiles {
 public:
  // Relative paths begin at `folder`, even after a change of the working directory. Empty: at the
  // working directory.
  explicit SystemFiles(std::string folder = "") : folder_(std::move(folder)) {}

  // A larger file is no configuration (perhaps a device): it fails with EFBIG.
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
