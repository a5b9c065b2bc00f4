// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cinttypes>
#include <iterator>
#include <map>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/keeper/line_sum.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr std::array<std::string_view, 4> kNames = {"open", "extend", "close", "time"};  // of Fact
constexpr std::string_view kHeaderName = "knockd-open-doors";
constexpr std::string_view kBinaryMagic = "KNOCKDOD";  // version 1, before any release
constexpr uint64_t kMostPrefix = 128;
constexpr size_t kSmallFile = size_t{64} << 10;
// Readings are from 0 to 146 years, so that neither sums nor differences of two overflow.
constexpr nanoseconds kMostTime{(int64_t{1} << 62) - 1};
constexpr uint64_t kMostSeconds = kMostTime / 1s;

enum class Blanks : uint8_t { kStay, kEscaped };

nanoseconds within_reason(nanoseconds time) { return std::clamp(time, nanoseconds(0), kMostTime); }

// --- Writing

std::string seconds_text(nanoseconds time) {
  time = within_reason(time);
  return format("%" PRId64 ".%09d", int64_t{time / 1s}, static_cast<int>((time % 1s).count()));
}

// By <chrono>, since the C library's time ends in 2038 on some routers.
std::string clock_text(nanoseconds since_1970) {
  const std::chrono::sys_time<nanoseconds> time(within_reason(since_1970));
  const auto midnight = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(midnight);
  const std::chrono::hh_mm_ss clock(time - midnight);
  return format("%04d-%02u-%02uT%02d:%02d:%02d.%09dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()),
                static_cast<int>(clock.subseconds().count()));
}

void append_escaped(std::string& text, std::string_view value, Blanks blanks) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || c == '%' || (c == ' ' && blanks == Blanks::kEscaped)) {
      text += {'%', kDigits[byte >> 4], kDigits[byte & 0xf]};
    } else {
      text += c;
    }
  }
}

// " prefix=120"
void append_prefix(std::string& text, uint8_t prefix) { text += format(" prefix=%u", prefix); }

// " ports=22,51820:udp prefix=128 set=inet fw4 knockd4", the blanks of the name escaped.
void append_admission(std::string& text, const Admission& admission) {
  text += " ports=" + to_string(admission.ports);
  append_prefix(text, admission.prefix);
  text += " set=";
  if (admission.set) append_escaped(text, to_string(*admission.set), Blanks::kEscaped);
}

// --- Reading

// Removes the next field from the text and returns its value, up to the next blank or, for the last
// field, all; empty if the field has another name.
std::string_view take(std::string_view& text, std::string_view name, bool is_last = false) {
  if (!text.starts_with(name)) return {};
  std::string_view value = text.substr(name.size());
  if (!is_last) value = value.substr(0, value.find(' '));
  text.remove_prefix(name.size() + value.size());
  return value;
}

// Invalid text results in a value that is written differently: parse_line() detects that.

nanoseconds parse_seconds(std::string_view text) {
  const size_t point = text.find('.');
  if (point == std::string_view::npos) return {};
  const auto whole = parse_number(text.substr(0, point), kMostSeconds).value_or(0);
  const auto part = parse_number(text.substr(point + 1), 999'999'999).value_or(0);
  return within_reason(whole * 1s + part * 1ns);
}

nanoseconds parse_clock(std::string_view text) {
  constexpr std::string_view kExample = "2026-11-26T00:45:07.123456789Z";
  if (text.size() != kExample.size()) return {};
  const auto number = [text](size_t start, size_t size) {
    return static_cast<int>(parse_number(text.substr(start, size), 999'999'999).value_or(0));
  };
  const std::chrono::year_month_day date(std::chrono::year(number(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2))));
  const bool is_near = date.year() >= 1970y && date.year() < 2200y;  // else nanoseconds overflow
  if (!date.ok() || !is_near) return {};
  return within_reason(std::chrono::sys_days(date).time_since_epoch() + number(11, 2) * 1h +
                       number(14, 2) * 1min + number(17, 2) * 1s + number(20, 9) * 1ns);
}

std::string unescape(std::string_view text) {
  std::string value;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = static_cast<unsigned char>(text[i]);
    if (byte == '%' && i + 2 < text.size()) {
      std::from_chars(&text[i + 1], &text[i + 1] + 2, byte, 16);
      i += 2;
    }
    value += static_cast<char>(byte);
  }
  return value;
}

uint8_t take_prefix(std::string_view& text) {
  return static_cast<uint8_t>(parse_number(take(text, " prefix="), kMostPrefix).value_or(0));
}

std::optional<Admission> take_admission(std::string_view& text) {
  if (!text.starts_with(" ports=")) return std::nullopt;
  Admission admission;
  const auto ports = parse_sequence(take(text, " ports="));
  if (const auto* const read = std::get_if<Sequence>(&ports)) admission.ports = *read;
  admission.prefix = take_prefix(text);
  admission.set = parse_set_name(unescape(take(text, " set=")));
  return admission;
}

struct Line {
  Fact fact = Fact::kTime;
  OpenDoor door;
  Moment moment;
};

// The fact of the line that begins here, if it looks like one.
std::optional<Fact> fact_of(std::string_view text) {
  const std::string_view rest = text.substr(std::min(text.size(), kSumSize + 1));
  const auto known = std::find(kNames.begin(), kNames.end(), rest.substr(0, rest.find(' ')));
  if (known == kNames.end()) return std::nullopt;
  return static_cast<Fact>(known - kNames.begin());
}

// Parses leniently, then checks: writing the result must give the same line, including the
// checksum.
std::optional<Line> parse_line(std::string_view text, Fact fact) {
  std::string_view rest = text.substr(kSumSize + 1 + kNames[static_cast<size_t>(fact)].size());
  Line line;
  line.fact = fact;
  line.door.id = parse_number(take(rest, " id="), UINT64_MAX).value_or(0);
  line.door.source = IpAddress::parse(take(rest, " source=")).value_or(IpAddress());
  line.door.door = unescape(take(rest, " door="));
  line.door.interface = unescape(take(rest, " interface="));
  line.door.user = unescape(take(rest, " user="));
  line.door.gateway = unescape(take(rest, " fleet="));
  const nanoseconds left = parse_seconds(take(rest, " left="));
  line.moment.boot = Instant(parse_seconds(take(rest, " boot=")));
  line.moment.wall = parse_clock(take(rest, " clock="));
  line.moment.wall_is_kept = take(rest, " synced=") == "yes";
  line.door.admission = take_admission(rest);
  if (rest.starts_with(" prefix=")) line.door.prefix = take_prefix(rest);
  line.door.stop_command = unescape(take(rest, " stop=", true));
  line.door.deadline = line.moment.boot + left;

  std::string again;
  append_fact(again, line.fact, line.door, line.moment);
  again.pop_back();
  return again == text ? std::optional(std::move(line)) : std::nullopt;
}

// Tracks the open doors, fact by fact.
class Reckoning {
 public:
  void add(Line line) {
    const auto [oldest, end] = by_id_.equal_range(line.door.id);
    switch (line.fact) {
      case Fact::kOpen:
        by_id_.emplace(line.door.id, doors_.size());
        doors_.push_back(StateContents::StoredDoor{std::move(line.door), line.moment.boot});
        break;
      case Fact::kExtend:
        if (oldest != end) {
          auto& stored = *doors_[std::prev(end)->second];
          stored.door.deadline = line.door.deadline;
          stored.door.gateway = std::move(line.door.gateway);
          stored.written = line.moment.boot;
        }
        break;
      case Fact::kClose:
        if (oldest != end) {
          doors_[oldest->second].reset();
          by_id_.erase(oldest);
        }
        break;
      case Fact::kTime:
        break;
    }
    if (!last_ || line.moment.boot >= last_->boot) last_ = line.moment;
  }

  void move_to(StateContents& contents) && {
    contents.last = last_;
    for (auto& stored : doors_) {
      if (stored) contents.doors.push_back(std::move(*stored));
    }
  }

 private:
  std::vector<std::optional<StateContents::StoredDoor>> doors_;
  std::multimap<uint64_t, size_t> by_id_;  // equal keys in order of insertion
  std::optional<Moment> last_;
};

void read_facts(std::string_view text, StateContents& contents) {
  Reckoning reckoning;
  // Limits fruitless reads within lines, so that no file takes more than twice its time.
  size_t patience = kSmallFile + text.size();
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    const size_t size = std::min(line.size() + 1, text.size());
    text.remove_prefix(size);
    // The newline before a good line may be damaged: a line may begin anywhere.
    std::optional<Line> found;
    size_t blank = kSumSize;
    while (blank < line.size()) {
      const std::string_view rest = line.substr(blank - kSumSize);
      const auto fact = fact_of(rest);
      const bool is_within = blank != kSumSize;
      if (fact && (!is_within || patience >= rest.size())) {
        if ((found = parse_line(rest, *fact))) break;
        if (is_within) patience -= rest.size();
      }
      blank = line.find(' ', blank + 1);
    }
    if (found) {
      contents.skipped += blank - kSumSize;
      ++contents.facts;
      reckoning.add(std::move(*found));
    } else {
      contents.skipped += size;
    }
  }
  std::move(reckoning).move_to(contents);
}

// Reads the first line; fills in version and boot id.
StateContents::Header read_header(std::string_view text, StateContents& contents) {
  using Header = StateContents::Header;
  if (text.find_first_not_of('\0') == std::string_view::npos) return Header::kNone;
  const std::string_view line = text.substr(0, text.find('\n'));
  std::string_view rest = line.substr(std::min(line.size(), kSumSize + 1));
  if (text.starts_with(kBinaryMagic)) {
    contents.version = 1;
  } else if (line.find(kHeaderName) == std::string_view::npos) {
    return Header::kForeign;
  } else if (with_sum(rest) != line) {
    return Header::kDamaged;
  } else {
    take(rest, kHeaderName);
    contents.version =
        static_cast<uint32_t>(parse_number(take(rest, " version="), UINT32_MAX).value_or(0));
    contents.boot_id = unescape(take(rest, " boot-id=", true));
  }
  return contents.version == kStateVersion ? Header::kGood : Header::kOtherVersion;
}

// The time between two moments of different boots, as far as known.
nanoseconds passed_between(const Moment& before, const Moment& now) {
  if (!before.wall_is_kept || !now.wall_is_kept) return nanoseconds(0);
  return std::max(now.wall - before.wall, nanoseconds(0));
}

}  // namespace

void append_header(std::string& text, std::string_view boot_id) {
  std::string content = std::string(kHeaderName) + format(" version=%u boot-id=", kStateVersion);
  append_escaped(content, boot_id, Blanks::kEscaped);
  text += with_sum(content) + '\n';
}

void append_fact(std::string& text, Fact fact, const OpenDoor& door, const Moment& now) {
  const nanoseconds boot = within_reason(now.boot.time_since_epoch());
  std::string content(kNames[static_cast<size_t>(fact)]);
  if (fact != Fact::kTime) content += format(" id=%" PRIu64, door.id);
  if (fact == Fact::kOpen) {
    content += " source=" + door.source.to_string() + " door=";
    append_escaped(content, door.door, Blanks::kEscaped);
    content += " interface=";
    append_escaped(content, door.interface, Blanks::kEscaped);
    if (!door.user.empty()) content += " user=";
    append_escaped(content, door.user, Blanks::kEscaped);
  }
  if (fact == Fact::kOpen || fact == Fact::kExtend) {
    if (!door.gateway.empty()) content += " fleet=";
    append_escaped(content, door.gateway, Blanks::kEscaped);
    content += " left=" + seconds_text(within_reason(door.deadline.time_since_epoch()) - boot);
  }
  content += " boot=" + seconds_text(boot) + " clock=" + clock_text(now.wall);
  content += now.wall_is_kept ? " synced=yes" : " synced=no";
  if (fact == Fact::kOpen && door.admission) append_admission(content, *door.admission);
  // For commands the prefix is written only if it is a network.
  if (fact == Fact::kOpen && door.prefix != OpenDoor().prefix) append_prefix(content, door.prefix);
  if (fact == Fact::kOpen) {
    content += " stop=";
    append_escaped(content, door.stop_command, Blanks::kStay);
  }
  text += with_sum(content) + '\n';
}

StateContents parse_state(std::string_view text) {
  using Header = StateContents::Header;
  StateContents contents;
  contents.header = read_header(text, contents);
  if (contents.header == Header::kOtherVersion) return contents;
  if (contents.header == Header::kGood) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  read_facts(text, contents);
  // A line with a valid checksum is knockd's, even after a damaged header.
  if (contents.header != Header::kGood && contents.facts > 0) contents.header = Header::kDamaged;
  return contents;
}

std::vector<OpenDoor> doors_to_close(StateContents&& contents, std::string_view boot_id,
                                     const Moment& now) {
  const bool same_boot = !boot_id.empty() && contents.boot_id == boot_id;
  const Moment last = contents.last.value_or(now);
  const nanoseconds elapsed = passed_between(last, now);
  std::vector<OpenDoor> doors;
  doors.reserve(contents.doors.size());
  for (auto& [door, written] : contents.doors) {
    const nanoseconds most = door.deadline - written;
    const nanoseconds left =
        same_boot ? door.deadline - now.boot : door.deadline - last.boot - elapsed;
    door.deadline = now.boot + std::max(std::min(left, most), nanoseconds(0));
    door.id = doors.size() + 1;
    doors.push_back(std::move(door));
  }
  return doors;
}

}  // namespace knockd
