// SPDX-License-Identifier: MIT
#include "knockd/code/secrets_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"

namespace knockd {
namespace {

constexpr size_t kLongestName = 32;
constexpr size_t kLargestFile = size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // that Windows' Notepad writes
constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

Fault cannot_be_read(int error) { return {std::string("cannot be read: ") + ::strerror(error)}; }

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

Result<std::string> read_secrets(const std::string& path) {
  // A pipe would keep its opener waiting.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return cannot_be_read(errno);
  if (!S_ISREG(status.st_mode)) return Fault{"expected a regular file"};
  if ((status.st_mode & kOthers) != 0) {
    return Fault{format("others than its owner may use it (mode %04o): expected 0600",
                        status.st_mode & 07777u)};
  }
  // In one piece: what a growing text leaves behind would stay readable.
  std::string text(kLargestFile + 1, '\0');
  size_t size = 0;
  for (ssize_t length = 1; length != 0 && size < text.size();) {
    length = ::read(fd.get(), text.data() + size, text.size() - size);
    if (length < 0 && errno != EINTR) return cannot_be_read(errno);
    size += static_cast<size_t>(std::max<ssize_t>(length, 0));
  }
  if (size > kLargestFile) return cannot_be_read(EFBIG);
  text.resize(size);
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
