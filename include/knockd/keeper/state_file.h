// SPDX-License-Identifier: MIT
// The file of open doors: after a crash, a kill or a power cut, the next run closes the doors
// recorded in it. state_format.h has its format, own_file.h writes it; others run the commands.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "knockd/base/file_calls.h"
#include "knockd/base/growing_pause.h"
#include "knockd/keeper/moment.h"
#include "knockd/keeper/own_file.h"
#include "knockd/keeper/state_format.h"
#include "knockd/knock/opening.h"

namespace knockd {

// Facts are gathered, and flush() appends them with one write. A file that has grown too much is
// replaced by one with only the open doors.
//
// The file is a copy of the open doors that `all_open` visits. A failed call therefore loses
// nothing while the process runs: the file is rewritten from all_open, at once and then again at
// later flushes (after a pause that grows with the number of doors, so that a full disk costs
// little). take_complaints() reports trouble when it begins and when it is over.
//
// Content of an earlier run is never overwritten unread: while it cannot be read, it stays
// unchanged, and later flushes retry reading (after growing pauses).
//
// Nothing throws; lack of memory ends the program.
class StateFile {
 public:
  using VisitDoor = std::function<void(const OpenDoor&)>;
  // Calls its argument with every open door, oldest first.
  using VisitAll = std::function<void(const VisitDoor&)>;

  // `calls`, and the doors of `all_open`, must outlive the state file. An empty path keeps nothing,
  // without complaints. Touches no file yet.
  StateFile(std::string path, std::string boot_id, VisitAll all_open,
            FileCalls& calls = FileCalls::real());

  // Opens the file, or creates it with its folder (0700). Returns the doors that an earlier run
  // left open, in the order of their opening, numbered from 1. They are already in the new file;
  // all_open must visit them before the next flush. To be called once, in the process that uses the
  // file: children do not inherit the lock.
  std::vector<OpenDoor> open(const Moment& now);

  // Whether the file may have doors that no daemon closes: it exists or cannot be read, and no
  // running knockd has locked it.
  static bool is_left_behind(const std::string& path) { return OwnFile::is_left_behind(path); }

  // Gather facts of open doors. `passed`: time goes by; to be called about once a minute while
  // doors are open, and before leaving with doors open, because after a reboot the time left is
  // counted from the last moment in the file.
  void opened(const OpenDoor& door, const Moment& now) { gather(Fact::kOpen, door, now); }
  void extended(const OpenDoor& door, const Moment& now) { gather(Fact::kExtend, door, now); }
  void closed(const OpenDoor& door, const Moment& now) { gather(Fact::kClose, door, now); }
  void passed(const Moment& now) { gather(Fact::kTime, {}, now); }

  // Writes the gathered facts. True if all survive a power cut. (If only closed and passed were
  // gathered, they survive the process but not a power cut: a stop command may run twice, and
  // syncing is slow.) False is no reason to stop: see above. Does nothing if nothing was gathered
  // and no earlier attempt failed.
  //
  // REQUIRES: all_open includes everything gathered.
  bool flush(const Moment& now);

  // Moves the open doors to another file: writes it first, then removes the old one. On failure the
  // old one stays in use, with a complaint.
  bool move_to(const std::string& path, const Moment& now);

  // The present file.
  const std::string& path() const { return file_.path(); }

  // Doors of an earlier run that flush() or move_to() has found, still to be closed. Once taken,
  // all_open must visit them, with any ids, before the next flush.
  std::vector<OpenDoor> take_found();

  // Failures since the last call, one sentence each, for the log.
  std::vector<std::string> take_complaints();

  // Whether the file can be trusted to have all flushed facts.
  bool is_kept() const { return file_.is_appendable(); }

 private:
  void gather(Fact fact, const OpenDoor& door, const Moment& now);
  bool append(const Moment& now);
  bool take_up(const Moment& now);
  bool accept(const StateContents& contents);
  bool write_anew(const Moment& now);
  bool replace(const Moment& now);
  bool begin_trouble(const Moment& now);
  void complain(const std::string& what);

  std::string boot_id_;
  VisitAll all_open_;
  OwnFile file_;
  std::string gathered_;
  bool must_sync_ = false;   // one of the lines needs it
  bool due_ = false;         // something must be written
  bool ids_differ_ = false;  // the file may have other ids than all_open

  bool was_read_ = false;        // the content of an earlier run
  std::set<uint64_t> taken_up_;  // its doors, by their ids there, while partly read
  std::vector<OpenDoor> found_;  // and those not yet taken

  size_t compact_at_ = 0;  // bytes of the file
  size_t doors_ = 0;       // in the file, or to be written
  bool in_trouble_ = false;
  std::string why_anew_;          // why appending failed
  bool appending_fails_ = false;  // reported; rewriting works
  // Between attempts to read, which may be slow.
  GrowingPause unread_pause_{std::chrono::seconds(1), std::chrono::minutes(1)};
  Instant retry_at_;  // no earlier attempt
  std::vector<std::string> complaints_;
};

}  // namespace knockd
