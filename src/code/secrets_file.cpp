// SPDX-License-Identifier: MIT
#include "knockd/code/secrets_file.h"

#include <algorithm>
#include <utility>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr size_t kLongestName = 32;

bool is_name(std::string_view text) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !text.empty() && text.size() <= kLongestName &&
         text.find_first_not_of(kLetters) == text.npos;
}

// Nothing is quoted: what stands in the place of a name may be a secret.
Result<User> read_user(std::string_view line) {
  const size_t blank = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view name = line.substr(0, blank);
  const std::string_view base32 = trim(line.substr(blank));
  if (base32.empty()) return Fault{"expected a name and a secret: NAME BASE32"};
  if (!is_name(name)) {
    return Fault{format("expected a name of letters, digits, '.', '_' and '-', at most %zu bytes",
                        kLongestName)};
  }
  auto secret = Secret::parse(base32);
  if (!secret) return secret.error();
  return User{std::string(name), *secret};
}

}  // namespace

std::variant<std::vector<User>, SecretsFault> parse_secrets(std::string_view text) {
  std::vector<User> users;
  std::vector<int> lines;  // of the users
  int number = 0;
  for (const std::string_view part : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(part);
    if (line.empty() || line.front() == '#') continue;
    auto user = read_user(line);
    if (!user) return SecretsFault{number, std::move(user.error().text)};
    for (size_t i = 0; i < users.size(); ++i) {
      const bool is_doubled = users[i].name == user->name;
      if (!is_doubled && users[i].secret != user->secret) continue;
      return SecretsFault{number, format("expected another %s than in line %d",
                                         is_doubled ? "name" : "secret", lines[i])};
    }
    if (users.size() == kMostUsers) {
      return SecretsFault{number, format("expected at most %zu users", kMostUsers)};
    }
    users.push_back(std::move(*user));
    lines.push_back(number);
  }
  if (users.empty()) return SecretsFault{0, "has no user: expected a line like NAME BASE32"};
  return users;
}

}  // namespace knockd
