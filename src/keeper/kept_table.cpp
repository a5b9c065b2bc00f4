// SPDX-License-Identifier: MIT
#include "knockd/keeper/kept_table.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <variant>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "knockd/config/files.h"

namespace knockd {

std::string KeptTable::keep(const ShutTable& table) const {
  if (path_.empty()) return {};
  const std::string ruleset = to_nft(table);
  const std::string fresh = path_ + ".new";
  UniqueFd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  const auto size = static_cast<ssize_t>(ruleset.size());
  if (file && write(file.get(), ruleset.data(), ruleset.size()) == size && fsync(file.get()) == 0 &&
      rename(fresh.c_str(), path_.c_str()) == 0) {
    return {};
  }
  return format("cannot keep the table in %s: %s", path_.c_str(), std::strerror(errno));
}

void KeptTable::forget() const {
  if (!path_.empty()) unlink(path_.c_str());
}

std::string KeptTable::ruleset() const {
  if (path_.empty()) return {};
  auto text = SystemFiles().read(path_);
  auto* const ruleset = std::get_if<std::string>(&text);
  return ruleset == nullptr ? std::string() : std::move(*ruleset);
}

}  // namespace knockd
