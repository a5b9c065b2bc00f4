// SPDX-License-Identifier: MIT
// The file of users and their secrets, for daemon and client: a line "NAME BASE32" for each.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knockd/code/secret.h"

namespace knockd {

struct User {
  std::string name;  // of letters, digits, '.', '_' and '-', at most 32
  Secret secret;
  friend bool operator==(const User&, const User&) = default;
};

inline constexpr size_t kMostUsers = 1000;  // of a file

struct SecretsFault {
  int line = 0;         // 0: the file as a whole
  std::string message;  // what was expected; never quotes a secret
};

// The text of a file of users. The error says what is wrong with the file. Refuses a file that is
// not regular or that others than its owner may read or write. wipe() the text after use.
Result<std::string> read_secrets(const std::string& path);

// Ignores empty lines and lines that begin with '#'. Refuses repeated names and secrets.
std::variant<std::vector<User>, SecretsFault> parse_secrets(std::string_view text);

// Reads and parses. The error begins with the file, and the line if there is one.
Result<std::vector<User>> load_secrets(const std::string& path);

}  // namespace knockd
