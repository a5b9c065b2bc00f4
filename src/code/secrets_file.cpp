// SPDX-License-Identifier: MIT
#include "knockd/code/secrets_file.h"

#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "knockd/base/guarded_file.h"
#include "knockd/base/name.h"
#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr size_t kLargestFile = size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // written by Windows' Notepad
constexpr FileGuard kGuard = {S_IRWXG | S_IRWXO, "others than its owner", "0600"};

// Errors quote nothing: a secret may be in the place of a name.
Result<User> read_user(std::string_view line) {
  const size_t blank = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view name = line.substr(0, blank);
  const std::string_view base32 = trim(line.substr(blank));
  if (base32.empty()) return Fault{"expected a name and a secret: NAME BASE32"};
  if (!is_name(name, kLongestUser)) {
    return Fault{format("expected a name of letters, digits, '.', '_' and '-', at most %zu bytes",
                        kLongestUser)};
  }
  auto secret = Secret::parse(base32);
  if (!secret) return secret.error();
  return User{std::string(name), *secret};
}

}  // namespace

Result<std::string> read_secrets(const std::string& path) {
  auto text = read_guarded_file(path, kLargestFile + 1, kGuard);
  if (text && text->size() > kLargestFile) return Fault{"cannot be read: File too large"};
  return text;
}

std::variant<std::vector<User>, SecretsFault> parse_secrets(std::string_view text) {
  std::vector<User> users;
  std::vector<int> lines;  // of the users
  int number = 0;
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
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

Result<std::vector<User>> load_secrets(const std::string& path) {
  auto text = read_secrets(path);
  if (!text) return Fault{printable(path) + ": " + text.error().text};
  auto result = parse_secrets(*text);
  wipe(*text);
  if (auto* users = std::get_if<std::vector<User>>(&result)) return std::move(*users);
  const auto& fault = std::get<SecretsFault>(result);
  return Fault{printable(path) + (fault.line > 0 ? format(":%d: ", fault.line) : ": ") +
               fault.message};
}

}  // namespace knockd
