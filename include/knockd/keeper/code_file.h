// SPDX-License-Identifier: MIT
// The file of used codes, so that none opens twice, even after a crash. The facts of
// code/used_codes.h are read from it at the start, and written to it before a door opens. Text, one
// fact per line, each after its checksum as in the state file:
//
//   used 1234567812345678 4 58933214 192.0.2.7     the secret's id, the address family, the step
//   opened 1767996420 192.0.2.7 ssh                Unix time, who, which door
#pragma once

#include <string>

#include "knockd/base/file_calls.h"
#include "knockd/base/result.h"
#include "knockd/code/used_codes.h"
#include "knockd/keeper/own_file.h"

namespace knockd {

class CodeFile {
 public:
  // Both must outlive this; the file is their copy on disk.
  CodeFile(std::string path, UsedCodes& used, KnownSources& known,
           FileCalls& calls = FileCalls::real());

  const std::string& path() const { return file_.path(); }

  // Adds the facts of the file, unless that was done already. Ignores damaged lines.
  Status read();
  bool was_read() const { return was_read_; }
  size_t damaged() const { return damaged_; }  // lines

  // Whether all gathered facts are on disk.
  bool is_kept() const { return was_read_ && file_.is_appendable() && gathered_.empty(); }

  // Gather new facts.
  void used(const CodeKnock& knock);
  void opened(const std::string& door, const IpAddress& source, int64_t time);
  // Writes the gathered facts to disk. After a failure the next call rewrites the whole file.
  Status flush();

 private:
  bool read_lines();
  bool write_anew();
  Status failed() const;

  UsedCodes& used_;
  KnownSources& known_;
  OwnFile file_;
  std::string gathered_;
  size_t damaged_ = 0;
  size_t write_anew_at_ = 0;  // bytes
  bool was_read_ = false;
};

}  // namespace knockd
