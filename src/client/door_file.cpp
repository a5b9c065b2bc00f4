// SPDX-License-Identifier: MIT
#include "knockd/client/door_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "knockd/client/failure.h"
#include "knockd/config/one_time_file.h"
#include "knockd/config/parser.h"
#include "knockd/net/tcp_flags.h"

namespace knockd::client {
namespace {

[[noreturn]] void fail_on_file(const std::string& path, int error) {
  const bool forbidden = error == EACCES || error == EPERM || error == EROFS;
  throw Failure(forbidden ? ExitStatus::kNoPermission : ExitStatus::kUsage,
                format("%s: %s", printable(path).c_str(), std::strerror(error)));
}

// Of the errors in a file the first is enough: the user of a client mostly has but one door in it.
Config read_config(const std::string& path) {
  SystemFiles files;
  const ConfigFiles::Text text = files.read(path);
  if (const auto* failure = std::get_if<ConfigFiles::Failure>(&text)) {
    fail_on_file(path, failure->error);
  }
  try {
    return parse_config(std::get<std::string>(text), path, files);
  } catch (const ConfigError& error) {
    throw Failure(ExitStatus::kUsage, error.complaints().front().to_string());
  }
}

const Door& find_door(const Config& config, const std::string& name) {
  const auto is_it = [&](const Door& door) { return door.name == name; };
  const auto found = std::find_if(config.doors.begin(), config.doors.end(), is_it);
  if (found != config.doors.end()) return *found;

  std::string known;
  for (const Door& door : config.doors) known += (known.empty() ? "" : ", ") + printable(door.name);
  throw Failure(ExitStatus::kUsage,
                format("%s: no door \"%s\": expected one of: %s", printable(config.file).c_str(),
                       printable(name).c_str(), known.empty() ? "(there is none)" : known.c_str()));
}

std::string read_all(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) fail_on_file(path, errno);
  if (!S_ISREG(info.st_mode)) {
    throw Failure(ExitStatus::kUsage, printable(path) + ": not a regular file");
  }
  std::string text;
  char part[4096];
  for (ssize_t size; (size = read(fd, part, sizeof(part))) != 0;) {
    if (size > 0) {
      text.append(part, static_cast<size_t>(size));
    } else if (errno != EINTR) {
      fail_on_file(path, errno);
    }
  }
  return text;
}

}  // namespace

DoorKnocks knocks_of_door(const std::string& config_file, const std::string& name) {
  const Config config = read_config(config_file);
  const Door& door = find_door(config, name);
  DoorKnocks knocks;
  knocks.sequence = door.rule.sequence;
  knocks.one_time_file = door.one_time_file;
  if (!door.rule.flags.passes(kTcpSyn)) knocks.flags = door.rule.flags.wanted;
  return knocks;
}

Sequence use_one_time_sequence(const std::string& file) {
  const UniqueFd fd(open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) fail_on_file(file, errno);
  // Two clients at once must not take the same line.
  while (flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) fail_on_file(file, errno);
  }
  const auto next = find_one_time_sequence(read_all(fd.get(), file));
  if (!next) {
    throw Failure(ExitStatus::kUsage, printable(file) + ": no sequence is left in this list");
  }
  if (pwrite(fd.get(), "#", 1, static_cast<off_t>(next->offset)) != 1) fail_on_file(file, errno);
  if (fdatasync(fd.get()) != 0) fail_on_file(file, errno);
  return next->sequence;
}

}  // namespace knockd::client
