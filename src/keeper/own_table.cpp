// SPDX-License-Identifier: MIT
#include "knockd/keeper/own_table.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/keeper/nft_program.h"

namespace knockd {
namespace {

constexpr char kShutSet[] = "shut";

std::vector<std::string> fixed_sets(const ShutTable& table) {
  if (table.interfaces.empty()) return {kShutSet, "kept"};
  return {kShutSet, "kept", "interfaces"};
}

}  // namespace

std::string nft_reason(int error) {
  switch (error) {
    case ENFILE:
      return "the set is full";
    case EPERM:
      return "no right to change the ruleset (CAP_NET_ADMIN)";
    default:
      return std::strerror(error);
  }
}

OwnTable::OwnTable(std::string name, std::string lock_folder)
    : lock_folder_(std::move(lock_folder)) {
  table_.name = std::move(name);
}

std::string OwnTable::take() {
  if (lock_.is_taken()) return {};
  // The lock is per network namespace, like table names.
  struct stat space {};
  stat("/proc/self/ns/net", &space);
  mkdir(lock_folder_.c_str(), 0700);
  const std::string path = lock_folder_ + "/table-" + table_.name +
                           format("-%llu.lock", static_cast<unsigned long long>(space.st_ino));
  switch (lock_.take(path, 0600)) {
    case LockFile::Outcome::kTaken:
      return {};
    case LockFile::Outcome::kOthers:
      return "another daemon has the table " + table_.name;
    case LockFile::Outcome::kUnusable:
      break;
  }
  return path + ": " + std::strerror(errno);
}

std::string OwnTable::ruleset_of(const ShutTable& table) {
  return table.ports.empty() ? to_nft_removal(table.name) : to_nft(table);
}

std::string OwnTable::load(NftSets& sets, const ShutTable& table) {
  std::string fault = begin_load(sets, table);
  if (fault.empty()) fault = run_nft(ruleset_of(table));
  return fault.empty() ? end_load(sets, table) : fault;
}

std::string OwnTable::begin_load(NftSets& sets, const ShutTable& table) {
  const auto before = sets.picture(table.name, fixed_sets(table));
  before_ = before ? std::optional<std::string>(*before) : std::nullopt;
  if (!table.ports.empty() && table_.ports.empty() && is_of_others(sets)) {
    return "table inet " + table.name + " is another program's";
  }
  return {};
}

std::string OwnTable::end_load(NftSets& sets, const ShutTable& table) {
  auto picture = sets.picture(table.name,
                              table.ports.empty() ? std::vector<std::string>() : fixed_sets(table));
  if (table.ports.empty()) {
    if (picture) return "nft changed nothing";
    if (picture.error() != ENOENT) return nft_reason(picture.error());
  } else {
    if (!picture) return "nft: the table cannot be read: " + nft_reason(picture.error());
    // A recreated table has another handle.
    if (before_ && *before_ == *picture) return "nft changed nothing";
    picture_ = *std::move(picture);
  }
  table_ = table;
  return {};
}

bool OwnTable::is_changed(NftSets& sets) const {
  const auto picture = sets.picture(table_.name, fixed_sets(table_));
  return !picture || *picture != picture_;
}

// The ports that the table shuts, whether from this run or an earlier one.
std::vector<Knock> OwnTable::shut_in_kernel(NftSets& sets) const {
  std::vector<Knock> ports;
  const auto found = sets.list({TableFamily::kInet, table_.name, kShutSet});
  if (!found) return ports;
  for (const NftSets::Found& one : *found) {
    if (const auto port = port_of_key(one.key)) ports.push_back(*port);
  }
  return ports;
}

// Whether a table of that name exists that knockd did not create.
bool OwnTable::is_of_others(NftSets& sets) const {
  if (!sets.picture(table_.name, {})) return false;
  const auto shut = sets.list({TableFamily::kInet, table_.name, kShutSet});
  return !shut && shut.error() == ENOENT;
}

}  // namespace knockd
