// SPDX-License-Identifier: MIT
#include "knockd/client/door_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>
#include <variant>

#include "knockd/base/text.h"
#include "knockd/base/unique_fd.h"
#include "knockd/client/failure.h"
#include "knockd/client/opened_port.h"
#include "knockd/config/one_time_list.h"
#include "knockd/config/values.h"
#include "knockd/net/tcp_flags.h"

namespace knockd::client {
namespace {

constexpr size_t kMostBytes = 1 << 20;  // a larger file is no list of doors

// The interval of attempts to get a lock.
constexpr Duration kLockPause = std::chrono::milliseconds(20);

ExitStatus status_of(int error) {
  const bool forbidden = error == EACCES || error == EPERM || error == EROFS;
  return forbidden ? ExitStatus::kNoPermission : ExitStatus::kUsage;
}

Failure file_failure(const std::string& path, int error) {
  return {status_of(error), format("%s: %s", printable(path).c_str(), std::strerror(error))};
}

OrFailure<std::string> read_to_end(int fd, const std::string& path) {
  std::string text;
  char part[4096];
  for (ssize_t size; (size = read(fd, part, sizeof(part))) != 0;) {
    if (size > 0) {
      text.append(part, static_cast<size_t>(size));
    } else if (errno != EINTR) {
      return file_failure(path, errno);
    }
    if (text.size() > kMostBytes) return file_failure(path, EFBIG);
  }
  return text;
}

// Finds one door in the text of a configuration, and its directives for knockers. The daemon's own
// parser would be half of this program, and would also check everything else: the files on the
// server, the directives of a newer daemon, other people's doors.
class DoorReader {
 public:
  DoorReader(std::string file, std::string_view door) : file_(std::move(file)), door_(door) {}

  OrFailure<DoorKnocks> read(std::string_view text) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    for (const std::string_view line : split(text, '\n')) {
      ++line_number_;
      line_ = line;
      read_line(trim(line));
      if (failure_) return std::move(*failure_);
    }
    if (!found_) return unknown_door();
    if (knocks_.sequence.empty() && knocks_.one_time_file.empty()) {
      return Failure{ExitStatus::kUsage,
                     format("%s: door \"%s\" has no sequence", printable(file_).c_str(),
                            printable(door_).c_str())};
    }
    return std::move(knocks_);
  }

 private:
  void read_line(std::string_view text) {
    if (text.starts_with('#')) return;
    if (text.starts_with('[')) {
      begin_section(trim(text.substr(1, find_closing_bracket(text) - 1)));
    } else if (const size_t equals = text.find('='); inside_ && equals != text.npos) {
      read_directive(trim(text.substr(0, equals)), without_comment(text.substr(equals + 1)));
    }
  }

  void begin_section(std::string_view name) {
    inside_ = !found_ && name == door_;  // of doors with the same name the first
    found_ = found_ || inside_;
    if (equals_ignoring_case(name, "options")) return;
    if (!others_.empty()) others_ += ", ";
    others_ += printable(name);
  }

  // The last occurrence of a directive wins, as in the daemon.
  void read_directive(std::string_view key, std::string_view value) {
    if (equals_ignoring_case(key, "sequence")) {
      CodedSequence coded;
      take(parse_coded_sequence(value), value, coded);
      knocks_.sequence = std::move(coded.sequence);
      knocks_.places = coded.places;
    } else if (equals_ignoring_case(key, "secrets")) {
      knocks_.secrets_file = value;
    } else if (equals_ignoring_case(key, "one_time_sequences")) {
      knocks_.one_time_file = value;
    } else if (equals_ignoring_case(key, "tcpflags")) {
      FlagMask mask;
      take(parse_tcp_flags(value), value, mask);
      knocks_.flags.reset();
      if (!mask.passes(kTcpSyn)) knocks_.flags = mask.wanted;
    } else if (equals_ignoring_case(key, "start_command") || equals_ignoring_case(key, "command")) {
      command_port_ = opened_port(value);
    } else if (equals_ignoring_case(key, "open")) {
      Sequence ports;
      take(parse_sequence(value), value, ports);
      const auto first = std::ranges::find(ports, Protocol::kTcp, &Knock::protocol);
      open_port_.reset();
      if (first != ports.end()) open_port_ = first->port;
    }
    knocks_.port = command_port_ ? command_port_ : open_port_;
  }

  template <typename Parsed>
  void take(std::variant<Parsed, TextFault> parsed, std::string_view value, Parsed& result) {
    if (auto* const sound = std::get_if<Parsed>(&parsed)) {
      result = std::move(*sound);
      return;
    }
    const TextFault& fault = std::get<TextFault>(parsed);
    const auto before = static_cast<size_t>(value.data() - line_.data());
    failure_ = {ExitStatus::kUsage, format("%s:%d:%zu: %s", printable(file_).c_str(), line_number_,
                                           before + fault.offset + 1, fault.message.c_str())};
  }

  Failure unknown_door() const {
    return {ExitStatus::kUsage,
            format("%s: no door \"%s\": expected one of: %s", printable(file_).c_str(),
                   printable(door_).c_str(), others_.empty() ? "(none)" : others_.c_str())};
  }

  std::string file_;
  std::string_view door_;
  std::optional<uint16_t> command_port_;  // that the start command names
  std::optional<uint16_t> open_port_;     // of Open
  std::string_view line_;
  int line_number_ = 0;
  bool inside_ = false;
  bool found_ = false;
  std::string others_;
  DoorKnocks knocks_;
  std::optional<Failure> failure_;
};

}  // namespace

OrFailure<DoorKnocks> knocks_of_door(const std::string& config_file, const std::string& door) {
  const UniqueFd fd(open(config_file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return file_failure(config_file, errno);
  const auto text = read_to_end(fd.get(), config_file);
  if (!text) return text.error();
  return DoorReader(config_file, door).read(*text);
}

OrFailure<Sequence> take_one_time_sequence(const std::string& file, Duration patience) {
  const Instant end = BootClock::now() + patience;
  for (;;) {
    OneTimeUse use = use_next_one_time_sequence(file);
    switch (use.outcome) {
      case OneTimeUse::Outcome::kMarked:
        return std::move(use.used);
      case OneTimeUse::Outcome::kNotInForce:
        return Failure{ExitStatus::kUsage, printable(file) + ": no sequence is left in this list"};
      case OneTimeUse::Outcome::kFailed:
        return Failure{status_of(use.error_number),
                       printable(file) + ": " +
                           (use.error_number != 0 ? strerror(use.error_number) : use.error)};
      case OneTimeUse::Outcome::kBusy:
        break;
    }
    if (BootClock::now() >= end) {
      return Failure{ExitStatus::kNoPermission, printable(file) + ": locked by another program"};
    }
    std::this_thread::sleep_for(kLockPause);
  }
}

}  // namespace knockd::client
