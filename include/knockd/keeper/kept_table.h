// SPDX-License-Identifier: MIT
// The file with the last table that the kernel took, as text for nft(8): for a start that cannot
// read its configuration, and so that a table under an earlier name is known.
#pragma once

#include <string>
#include <utility>

#include "knockd/knock/shut_table.h"

namespace knockd {

class KeptTable {
 public:
  // Without a path nothing is kept.
  explicit KeptTable(std::string path = {}) : path_(std::move(path)) {}

  // Empty, or why it is not kept; then the file is as it was.
  std::string keep(const ShutTable& table) const;
  void forget() const;
  // What is kept; empty if nothing is.
  std::string ruleset() const;
  // The name of the table that is kept; empty if none is.
  std::string name() const { return table_name_in(ruleset()); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace knockd
