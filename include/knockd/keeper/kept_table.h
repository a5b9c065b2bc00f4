// SPDX-License-Identifier: MIT
// The file with the last table that the kernel accepted, as text for nft(8): for a start with a
// faulty configuration, and to find a table under an earlier name.
#pragma once

#include <string>
#include <utility>

#include "knockd/knock/shut_table.h"

namespace knockd {

class KeptTable {
 public:
  // An empty path keeps nothing.
  explicit KeptTable(std::string path = {}) : path_(std::move(path)) {}

  // Empty, or why it failed; the file is then unchanged.
  std::string keep(const ShutTable& table) const;
  void forget() const;
  // The kept text; empty if there is none.
  std::string ruleset() const;
  // The name of the kept table; empty if there is none.
  std::string name() const { return table_name_in(ruleset()); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace knockd
