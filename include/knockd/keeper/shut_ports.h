// SPDX-License-Identifier: MIT
// Keeps ports shut by knockd's own table in the kernel's ruleset, lets knockers in by its sets or
// by those of the administrator's ruleset, and puts both right when others change the ruleset.
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

// The table stays in the kernel when this object goes: a daemon that ends opens nothing.
class ShutPorts : public Admitter {
 public:
  // `table` is the name of knockd's own, for good. Lock files are in this folder: one daemon alone
  // has a table.
  ShutPorts(EventLoop& loop, Log& log, std::string table, std::string lock_folder = kRunFolder);
  ~ShutPorts() override;

  // Takes the table for this process. Empty, or why it cannot have it.
  std::string take() { return own_.take(); }
  // Each table that the kernel took is kept in this file. Empty: nowhere.
  void keep_in(std::string path) { kept_ = KeptTable(std::move(path)); }
  // From now on the table is this one, under the name it has; without ports there is none. One that
  // an earlier run kept under another name is removed. Each port that is no longer shut is logged,
  // and each that cannot be shut: then the table stays as it was, and false is returned. Waits for
  // nft.
  bool shut(const ShutTable& table);
  // The same without waiting.
  void change(const ShutTable& table);
  // To be called for each child that has ended. False: it was none of ours.
  bool child_ended(pid_t pid, int status) { return nft_.child_ended(pid, status); }
  // From now on the ruleset of others is left as it is: whoever leaves has no time for an nft that
  // hangs.
  void stop_watching();
  // Without a table of this run: logs which ports one of an earlier run keeps shut.
  void report_left_behind();
  // Removes the table from the kernel, and what is kept of it. Empty, or why it is there still.
  std::string remove();
  const ShutTable& table() const { return own_.table(); }

  std::string admit(const OpenDoor& door) override;
  std::vector<std::string> dismiss(std::span<const OpenDoor> doors) override;

 private:
  struct Change {               // of the own table, by nft
    ShutTable table;            // without ports: it is removed
    std::vector<Knock> before;  // what the kernel's one shut
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
  std::optional<NftSets> sets_;            // from the first need on
  std::optional<RulesetMonitor> monitor_;  // likewise
  OwnTable own_;
  KeptTable kept_;
  NftRun nft_;
  std::optional<Change> change_;   // while nft runs
  std::optional<ShutTable> next_;  // what was wanted meanwhile
  AllowedSources allowed_;
  EventLoop::Alarm check_;
  GrowingPause pause_;    // between repairs
  Instant repaired_;      // last
  bool failing_ = false;  // the last repair failed, which was logged
};

}  // namespace knockd
