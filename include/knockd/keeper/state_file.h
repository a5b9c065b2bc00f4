// SPDX-License-Identifier: MIT
// The file of open doors, by which no door stays open over a crash, a kill or a power cut: what is
// written there outlives this process. What it says is described in state_format.h, how it is
// written in own_file.h; running the commands is left to others.
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

// Facts are gathered, and flush() appends them by one write; when the file has grown too much, it
// is replaced by one with the open doors alone.
//
// The truth about open doors is kept by others, `all_open`; this is its copy on disk. A call that
// fails therefore loses nothing while the process runs: the file is written anew from all_open, at
// once and then again at later flushes (after a pause that grows with the number of doors, so that
// a full disk costs little). Trouble is reported when it begins and when it is over, by
// take_complaints().
//
// What an earlier run left is never overwritten unread: while it cannot be read, it stays as it is,
// and reading is tried again at later flushes (after growing pauses).
//
// Nothing throws; lack of memory ends the program.
class StateFile {
 public:
  using VisitDoor = std::function<void(const OpenDoor&)>;
  // Calls what it is given with every door that is open now, oldest first.
  using VisitAll = std::function<void(const VisitDoor&)>;

  // `calls`, and what `all_open` visits, must outlive the state file. With an empty path nothing is
  // kept, and nothing complained about. Touches no file yet.
  StateFile(std::string path, std::string boot_id, VisitAll all_open,
            FileCalls& calls = FileCalls::real());

  // Opens the file, made with its folder (0700) if it is not there, and gives the doors that an
  // earlier run left open, in the order in which they were opened, numbered from 1. They are in the
  // new file already; all_open must visit them before the next flush. To be called once, in the
  // process that goes on to use the file: the lock does not pass to a child.
  std::vector<OpenDoor> open(const Moment& now);

  // Whether doors may be in such a file that nobody takes care of: it is there, or cannot be looked
  // at, and no running knockd has it.
  static bool is_left_behind(const std::string& path) { return OwnFile::is_left_behind(path); }

  // Gather what has become true of the open doors. `passed`: time goes by; to be called about once
  // a minute while doors are open, and before leaving with doors open, since after a reboot the
  // time left is counted from the last moment in the file.
  void opened(const OpenDoor& door, const Moment& now) { gather(Fact::kOpen, door, now); }
  void extended(const OpenDoor& door, const Moment& now) { gather(Fact::kExtend, door, now); }
  void closed(const OpenDoor& door, const Moment& now) { gather(Fact::kClose, door, now); }
  void passed(const Moment& now) { gather(Fact::kTime, {}, now); }

  // Writes what was gathered. True if all is on disk, in a form that outlives a power cut (closed
  // and passed alone: that outlives this process; they can be lost with the power, since a stop
  // command may run twice and syncing is slow). False is no reason to stop: see above. Does nothing
  // if nothing was gathered and no earlier attempt failed.
  //
  // REQUIRES: all_open knows of everything that was gathered.
  bool flush(const Moment& now);

  // Keeps the open doors in another file from now on: they are written there first, then the old
  // file is removed. If that fails, the old one stays in force and a complaint reports it.
  bool move_to(const std::string& path, const Moment& now);

  // Where the doors are kept now.
  const std::string& path() const { return file_.path(); }

  // Doors of an earlier run that flush() or move_to() has come upon, still to be closed. Once they
  // are taken, all_open must visit them, by whatever ids, before the next flush.
  std::vector<OpenDoor> take_found();

  // What went wrong since the last call, a sentence each, for the log.
  std::vector<std::string> take_complaints();

  // Whether the file can be trusted: all that was flushed is there.
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
  bool must_sync_ = false;   // for a line among them
  bool due_ = false;         // something is to be written
  bool ids_differ_ = false;  // doors may be in the file by other ids than in all_open

  bool was_read_ = false;        // what an earlier run left in the file
  std::set<uint64_t> taken_up_;  // doors of it, by their ids there, while it was read in part
  std::vector<OpenDoor> found_;  // and those that nobody has taken yet

  size_t compact_at_ = 0;  // bytes of the file
  size_t doors_ = 0;       // in the file, or that were to be written to it
  bool in_trouble_ = false;
  std::string why_anew_;          // what of appending failed
  bool appending_fails_ = false;  // that was reported; writing anew helps
  // Between attempts to read, which may take long themselves.
  GrowingPause unread_pause_{std::chrono::seconds(1), std::chrono::minutes(1)};
  Instant retry_at_;  // no attempt is made earlier
  std::vector<std::string> complaints_;
};

}  // namespace knockd
