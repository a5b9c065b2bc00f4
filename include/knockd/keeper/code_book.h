// SPDX-License-Identifier: MIT
// The keeper's side of doors with secrets: follows the time, sends the ports to listeners, and
// keeps used codes on disk. Only it holds the secrets. CodeLedger decides which codes may open.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "knockd/base/clock.h"
#include "knockd/base/event_loop.h"
#include "knockd/base/file_calls.h"
#include "knockd/base/log.h"
#include "knockd/base/unique_fd.h"
#include "knockd/config/config.h"
#include "knockd/keeper/code_file.h"
#include "knockd/keeper/code_ledger.h"
#include "knockd/knock/action.h"
#include "knockd/knock/door.h"

namespace knockd {

class CodeBook {
 public:
  // The answer to use(), given at once. `used`: the code is on disk; else nothing opens.
  using Answer = std::function<void(uint64_t opening, bool used)>;
  // Sends listeners the codes in force from now on.
  using Announce = std::function<void(const std::vector<DoorCodes>&)>;
  // Called before the answer, when a code is on disk as used: for this opening, or for none (0).
  using Tell = std::function<void(uint64_t opening, const Door& door, const std::string& user,
                                  const CodeKnock& knock)>;
  using Clock = std::function<WallTime()>;  // Unix time

  // `config` is read at each renew(), its doors and users at any time.
  CodeBook(EventLoop& loop, Log& log, const Config& config, Answer answer, Announce announce,
           Tell tell, FileCalls& calls = FileCalls::real(), Clock clock = wall_now);
  ~CodeBook() { stop_timer(); }

  // Reads the doors again. If users have changed, call forget_users() before.
  void renew();
  void forget_users() { ledger_.forget_users(); }
  // To be called again when continuing listeners may have other codes.
  void announce() const;
  void add_to(std::vector<DoorRule>& rules) const { ledger_.add_to(rules, step_at(now())); }
  uint32_t generation() const { return ledger_.generation(); }

  // `took`: from the first knock until now; `guesses`: the source knocks wrong codes.
  CodeLedger::Judgement judge(DoorNumber door, const IpAddress& source, CodeTag code, Duration took,
                              bool guesses = false) const;
  // A typed code was wrong.
  void wrong(DoorNumber door);
  void too_many_wrong(DoorNumber door);
  // A complete knock was for the other address family.
  void overheard(DoorNumber door, const IpAddress& source, CodeTag code);
  // Uses up an accepted code.
  void use(const UseSequence& use);
  // A code was used at another gateway; on disk when this returns. Ignores secrets that no door
  // here has.
  Status used_elsewhere(const CodeKnock& knock);

  // The step has changed, or the clock was set.
  void time_changed(bool was_set);

 private:
  int64_t now() const;  // Unix time in seconds
  std::optional<CodeKnock> gather_overheard(DoorNumber door, const IpAddress& source, CodeTag code);
  void tell(DoorNumber door, CodeTag code, uint64_t opening,
            const std::optional<CodeKnock>& knock) const;
  void open_file();
  bool flush(const Door& door, const char* consequence);
  void arm();
  void stop_timer();
  void on_timer();
  void warn_of_clock(const char* what);

  EventLoop& loop_;
  Log& log_;
  const Config& config_;
  const Answer answer_;
  const Announce announce_;
  const Tell tell_;
  FileCalls& calls_;
  const Clock clock_;
  CodeLedger ledger_;
  std::unique_ptr<CodeFile> file_;
  UniqueFd timer_;  // for the next step
  bool clock_warned_ = false;
};

}  // namespace knockd
