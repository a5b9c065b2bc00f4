// SPDX-License-Identifier: MIT
#include "knockd/client/own_secret.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "knockd/base/text.h"

namespace knockd::client {

OrFailure<User> find_user(const std::string& file, const std::string& name) {
  auto users = load_secrets(file);
  if (!users) {
    const bool forbidden = ::access(file.c_str(), R_OK) != 0 && errno == EACCES;
    return Failure{forbidden ? ExitStatus::kNoPermission : ExitStatus::kUsage,
                   std::move(users.error().text)};
  }
  if (name.empty() && users->size() == 1) return users->front();
  const auto found = std::ranges::find(*users, name, &User::name);
  if (found != users->end()) return *found;
  std::vector<std::string> names;
  for (const User& user : *users) names.push_back(user.name);
  return Failure{ExitStatus::kUsage,
                 printable(file) +
                     (name.empty() ? ": has several users: expected --user NAME, one of: "
                                   : ": no user \"" + printable(name) + "\": expected one of: ") +
                     join(names, ", ")};
}

}  // namespace knockd::client
