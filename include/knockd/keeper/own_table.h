// SPDX-License-Identifier: MIT
// knockd's own table in the kernel's ruleset: creates and removes it, and detects changes to it.
// The owner fills its sets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "knockd/base/lock_file.h"
#include "knockd/base/run_folder.h"
#include "knockd/keeper/nft_sets.h"
#include "knockd/knock/shut_table.h"

namespace knockd {

// The text of an error number of NftSets.
std::string nft_reason(int error);

// The table stays in the kernel after destruction. Faults are one line, empty for success.
class OwnTable {
 public:
  // `name` never changes. Lock files are in `lock_folder`: a table belongs to one daemon.
  OwnTable(std::string name, std::string lock_folder);

  // Locks the table for this process; a fault says why it cannot.
  std::string take();
  void give_back() { lock_.give_back(); }
  const std::string& lock_folder() const { return lock_folder_; }

  // Recreates it with empty sets, or removes it if `table` has no ports. After a fault it is
  // unchanged. Waits for nft.
  std::string load(NftSets& sets, const ShutTable& table);
  // The same in two halves; between them the caller passes the ruleset to nft.
  std::string begin_load(NftSets& sets, const ShutTable& table);
  std::string end_load(NftSets& sets, const ShutTable& table);
  static std::string ruleset_of(const ShutTable& table);
  // The last loaded table; without ports: none.
  const ShutTable& table() const { return table_; }
  // Whether the kernel's table differs from the loaded one or is missing.
  bool is_changed(NftSets& sets) const;
  // The ports that the kernel's table of this name shuts, whether from this run or an earlier one.
  std::vector<Knock> shut_in_kernel(NftSets& sets) const;

 private:
  bool is_of_others(NftSets& sets) const;

  const std::string lock_folder_;
  LockFile lock_;
  ShutTable table_;
  std::string picture_;                // from the kernel when it was created
  std::optional<std::string> before_;  // and the one before
};

}  // namespace knockd
