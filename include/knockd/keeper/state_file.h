// SPDX-License-Identifier: MIT
// The file of open doors, by which no door stays open over a crash, a kill or a power cut: what is
// written there outlives this process. What its bytes mean is said in state_format.h; running the
// commands is left to others.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/unique_fd.h"
#include "knockd/keeper/file_calls.h"
#include "knockd/keeper/moment.h"
#include "knockd/keeper/state_format.h"
#include "knockd/knock/open_doors.h"

namespace knockd {

// Records go to the end of the file; when garbage outweighs what is still open, the file is written
// anew beside the old one and renamed over it, so that at each moment one whole file is there.
//
// The truth about open doors is in OpenDoors; this is its copy on disk. A call that fails therefore
// loses nothing while the process runs: the file is written anew from OpenDoors, at once and then
// again when the next thing is to be recorded (after a pause that grows with the number of
// doors, so that a full disk costs little). Trouble is told once, when it begins, and once when it
// is over, by take_complaints().
//
// The file is ours alone: 0600, locked for this process, never reached through a link. One that
// others may write, or that is no file of ours, is refused: complained about and left alone.
//
// Nothing throws; lack of memory ends the program.
class StateFile {
 public:
  // `doors` and `calls` must outlive the state file. With an empty path nothing is kept, and
  // nothing complained about. Touches no file yet.
  StateFile(std::string path, std::string boot_id, const OpenDoors& doors,
            FileCalls& calls = FileCalls::real());

  // Whether there is a file that no running knockd has locked. To be called before this process
  // has opened it: closing it again would give up its own lock.
  static bool is_left_behind(const std::string& path);

  // Opens the file, made with its folder (0700) if it is not there, and gives the doors that an
  // earlier run left open, in the order in which they were opened, numbered from 1. They are in the
  // new file already; the caller puts them into OpenDoors before it records anything. To be called
  // once, in the process that goes on to use the file: the lock does not pass to a child.
  std::vector<OpenDoor> open(const Moment& now);

  // Each records what has just become true of the open doors. True if it is on disk, in a form
  // that outlives a power cut ('closed' and 'passed': that outlives this process; they can be lost
  // with the power, since a stop command may run twice and syncing is slow). False is no reason to
  // stop: see above.
  //
  // REQUIRES: OpenDoors tells of the change already: `door` is there with its time to close, or is
  // there no more when it is closed.
  bool opened(const OpenDoor& door, const Moment& now);
  bool extended(const OpenDoor& door, const Moment& now);
  bool closed(const OpenDoor& door, const Moment& now);

  // Records that time goes by. To be called about once a minute while doors are open, and before
  // leaving with doors open: after a reboot the time left is counted from the last moment recorded.
  bool passed(const Moment& now);

  // What went wrong since the last call, a sentence each, for the log.
  std::vector<std::string> take_complaints();

  // Whether all that was recorded is on disk.
  bool is_kept() const { return appendable_; }

 private:
  // Calls what it is given with every open door, in the order in which they were opened.
  using VisitAll = std::function<void(const std::function<void(const OpenDoor&)>&)>;
  enum class Sync : uint8_t { kYes, kNo };
  enum class Acquired : uint8_t {
    kYes,       // fd_ is the file, locked
    kReadOnly,  // fd_ can be read but never written: the file system is read-only
    kNotNow,    // there is no such file and none could be made
    kRefused    // never to be touched
  };

  Acquired acquire();
  Acquired open_or_create(UniqueFd& file);
  bool is_acceptable(const struct stat& status);
  bool make_folders();
  Bytes read_all(bool& complete);
  void judge(const StateContents& contents, bool complete);
  bool set_aside();

  bool record(const Bytes& bytes, Sync sync, const Moment& now);
  bool append(const Bytes& bytes, Sync sync);
  bool compact_if_worth_it(const Moment& now);
  bool write_anew(const VisitAll& visit_all, const Moment& now);
  bool write_beside_and_rename(const VisitAll& visit_all, const Moment& now);
  std::optional<size_t> fill(int fd, const VisitAll& visit_all, const Moment& now);
  bool write_all(int fd, const Bytes& bytes);
  bool sync_folder();
  VisitAll all_doors() const;

  // Remembers what failed and why (errno), for the complaint. Always false.
  bool failed(const char* call);
  void complain(const std::string& what);
  void refuse(const std::string& why);

  const std::string path_;
  const std::string boot_id_;
  const OpenDoors& doors_;
  FileCalls& calls_;

  UniqueFd fd_;              // holds the lock; after a failure it may be of no other use
  bool appendable_ = false;  // fd_ is at the end of a whole file that tells the truth
  bool refused_ = false;
  bool was_read_ = false;  // what stands at path_ has been taken up
  bool in_trouble_ = false;
  bool appending_fails_ = false;  // that was told; writing anew helps
  Instant retry_at_;              // no earlier is a new file tried after a failure
  size_t file_size_ = 0;          // bytes
  size_t living_size_ = 0;        // bytes of 'opened' records of doors that are open
  size_t compact_at_ = 0;         // bytes of the file
  std::string failure_;
  std::vector<std::string> complaints_;
};

}  // namespace knockd
