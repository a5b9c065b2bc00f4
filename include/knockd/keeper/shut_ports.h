// SPDX-License-Identifier: MIT
// Keeps ports shut with knockd's own table in the kernel's ruleset, lets knockers in with its sets
// or those of the administrator's ruleset, and repairs both when others change the ruleset.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "knockd/base/event_loop.h"
#include "knockd/base/growing_pause.h"
#include "knockd/base/log.h"
#include "knockd/keeper/admitter.h"
#include "knockd/keeper/allowed_sources.h"
#include "knockd/keeper/kept_table.h"
#include "knockd/keeper/nft_program.h"
#include "knockd/keeper/nft_sets.h"
#include "knockd/keeper/own_table.h"
#include "knockd/knock/shut_table.h"

namespace knockd {

// The table stays in the kernel after destruction: a daemon that ends opens nothing.
class ShutPorts : public Admitter {
 public:
  // `table` is the name of knockd's own table and never changes. Lock files are in `lock_folder`: a
  // table belongs to one daemon.
  ShutPorts(EventLoop& loop, Log& log, std::string table, std::string lock_folder = kRunFolder);
  ~ShutPorts() override;

  // Locks the table for this process. Empty, or why it cannot.
  std::string take() { return own_.take(); }
  // Keeps each table that the kernel accepted in this file. Empty: in none.
  void keep_in(std::string path) { kept_ = KeptTable(std::move(path)); }
  // Replaces the table by this one; without ports, removes it. Also removes a table that an earlier
  // run kept under another name. Logs each port that is no longer shut. On failure logs each port
  // that cannot be shut, leaves the table unchanged and returns false. Waits for nft.
  bool shut(const ShutTable& table);
  // The same without waiting.
  void change(const ShutTable& table);
  // To be called for each child that has ended. False: not started here.
  bool child_ended(pid_t pid, int status) { return nft_.child_ended(pid, status); }
  // From now on ignores changes by others: a daemon that is ending has no time for a hung nft.
  void stop_watching();
  // Without a table of this run: logs the ports that a table of an earlier run keeps shut.
  void report_left_behind();
  // Removes the table from the kernel, and the kept file. Empty, or why it still exists.
  std::string remove();
  const ShutTable& table() const { return own_.table(); }

  std::string admit(const OpenDoor& door) override;
  std::vector<std::string> dismiss(std::span<const OpenDoor> doors) override;

 private:
  struct Change {               // of the own table, by nft
    ShutTable table;            // without ports: it is removed
    std::vector<Knock> before;  // shut by the kernel's table
    bool is_repair = false;
  };

  std::string begin();
  std::optional<Change> plan(const ShutTable& wanted);
  std::string prepare(Change& change);
  void run(Change change);
  bool end(const Change& change, std::string fault);
  bool end_repair(const std::string& fault);
  void pause_repairs();
  void keep_held_prefixes(ShutTable& table) const;
  void report_not_shut(const ShutTable& wanted, const std::string& fault);
  std::string load(const ShutTable& table);
  void keep(const ShutTable& table);
  bool remove_former(const ShutTable& table);
  std::string make_own_set_for(const OpenDoor& door);
  void on_change();
  void check();

  EventLoop& loop_;
  Log& log_;
  std::optional<NftSets> sets_;            // created on first use
  std::optional<RulesetMonitor> monitor_;  // likewise
  OwnTable own_;
  KeptTable kept_;
  NftRun nft_;
  std::optional<Change> change_;   // while nft runs
  std::optional<ShutTable> next_;  // wanted meanwhile
  AllowedSources allowed_;
  EventLoop::Alarm check_;
  GrowingPause pause_;    // between repairs
  Instant repaired_;      // the last time
  bool failing_ = false;  // the last repair failed, which was logged
};

}  // namespace knockd
