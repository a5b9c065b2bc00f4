// SPDX-License-Identifier: MIT
// knockd's own table in the kernel's ruleset: makes it, removes it, and tells whether it is still
// as it was made. What is in its sets is the owner's business.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "knockd/base/lock_file.h"
#include "knockd/base/run_folder.h"
#include "knockd/keeper/nft_sets.h"
#include "knockd/knock/shut_table.h"

namespace knockd {

// An error's number of NftSets, in words.
std::string nft_reason(int error);

// The table stays in the kernel when this object goes. Faults are one line, empty for success.
class OwnTable {
 public:
  // `name` is for good. Lock files are in this folder: one daemon alone has a table.
  OwnTable(std::string name, std::string lock_folder);

  // Takes the table for this process; a fault says why it cannot have it.
  std::string take();
  void give_back() { lock_.give_back(); }
  const std::string& lock_folder() const { return lock_folder_; }

  // Makes it anew, with empty sets, or removes it if the table has no ports. After a fault it is as
  // it was. Waits for nft.
  std::string load(NftSets& sets, const ShutTable& table);
  // The same in two halves, between which nft is given the ruleset.
  std::string begin_load(NftSets& sets, const ShutTable& table);
  std::string end_load(NftSets& sets, const ShutTable& table);
  static std::string ruleset_of(const ShutTable& table);
  // What was loaded last; without ports: none.
  const ShutTable& table() const { return table_; }
  // Whether the kernel has another one than was loaded, or none.
  bool is_changed(NftSets& sets) const;
  // What the kernel's table of this name shuts, be it of this run or of an earlier one.
  std::vector<Knock> shut_in_kernel(NftSets& sets) const;

 private:
  bool is_of_others(NftSets& sets) const;

  const std::string lock_folder_;
  LockFile lock_;
  ShutTable table_;
  std::string picture_;                // as the kernel showed it when it was made
  std::optional<std::string> before_;  // and as it was before
};

}  // namespace knockd
