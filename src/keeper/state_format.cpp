// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_format.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <utility>

#include "knockd/base/crc32c.h"
#include "knockd/net/byte_reader.h"

namespace knockd {
namespace {

using std::chrono::nanoseconds;

constexpr std::array<uint8_t, 8> kMagic = {'K', 'N', 'O', 'C', 'K', 'D', 'O', 'D'};
constexpr size_t kBootIdSize = 36;  // a UUID as text
// No text in any script holds these bytes: in UTF-8 none of them can stand.
constexpr std::array<uint8_t, 4> kMark = {0xff, 0xc0, 0xf5, 0xfe};
constexpr size_t kHeadSize = 16;  // of a record
constexpr size_t kOpenedFixedSize = kHeadSize + 1 + 17 + 8 + 8 + 16 + 3 * 4;
// Readings are from 0 to 146 years, so that a difference of differences never overflows.
constexpr nanoseconds kMostTime{int64_t{1} << 62};

enum class Kind : uint8_t { kOpened = 1, kExtended = 2, kClosed = 3, kPassed = 4 };

void append_u32(Bytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<uint8_t>(value >> shift));
}

void append_u64(Bytes& bytes, uint64_t value) {
  append_u32(bytes, static_cast<uint32_t>(value >> 32));
  append_u32(bytes, static_cast<uint32_t>(value));
}

void append_time(Bytes& bytes, nanoseconds value) {
  append_u64(bytes, static_cast<uint64_t>(std::clamp(value, nanoseconds(0), kMostTime).count()));
}

void append_text(Bytes& bytes, std::string_view text) {
  append_u32(bytes, static_cast<uint32_t>(text.size()));
  bytes.insert(bytes.end(), text.begin(), text.end());
}

void put_u32(std::span<uint8_t> place, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) place[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

// One record: the head is reserved first and filled in when the payload stands behind it.
class Record {
 public:
  Record(Bytes& bytes, Kind kind, const Moment& now) : bytes_(bytes), start_(bytes.size()) {
    bytes_.resize(start_ + kHeadSize);
    bytes_.push_back(static_cast<uint8_t>(kind));
    append_time(bytes_, now.boot.time_since_epoch());
    append_time(bytes_, now.wall);
    bytes_.push_back(now.wall_is_kept ? 1 : 0);
  }
  ~Record() {
    const std::span<uint8_t> head = std::span(bytes_).subspan(start_, kHeadSize);
    const std::span<const uint8_t> payload = std::span(bytes_).subspan(start_ + kHeadSize);
    std::copy(kMark.begin(), kMark.end(), head.begin());
    put_u32(head.subspan(4), static_cast<uint32_t>(payload.size()));
    put_u32(head.subspan(8), crc32c(payload));
    put_u32(head.subspan(12), crc32c(head.first(12)));
  }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

 private:
  Bytes& bytes_;
  size_t start_;
};

uint64_t read_u64(ByteReader& reader) {
  const uint64_t high = reader.u32();
  return high << 32 | reader.u32();
}

std::string read_text(ByteReader& reader) {
  const auto bytes = reader.take(reader.u32());
  return {bytes.begin(), bytes.end()};
}

// Reads clocks, and remembers whether one was beyond all reason.
class TimeReader {
 public:
  explicit TimeReader(ByteReader& reader) : reader_(reader) {}
  nanoseconds read() {
    const uint64_t value = read_u64(reader_);
    sane_ = sane_ && value <= static_cast<uint64_t>(kMostTime.count());
    return nanoseconds(static_cast<int64_t>(value));
  }
  bool sane() const { return sane_; }

 private:
  ByteReader& reader_;
  bool sane_ = true;
};

// Takes in record after record and keeps the doors that are open after them.
class Reckoning {
 public:
  // False if this is no payload of ours.
  bool take(std::span<const uint8_t> payload) {
    ByteReader reader(payload);
    TimeReader times(reader);
    const auto kind = static_cast<Kind>(reader.u8());
    Moment moment;
    moment.boot = Instant(times.read());
    moment.wall = times.read();
    moment.wall_is_kept = reader.u8() == 1;
    OpenDoor door;
    if (kind != Kind::kPassed) door.id = read_u64(reader);
    if (kind == Kind::kOpened || kind == Kind::kExtended) door.deadline = Instant(times.read());
    if (kind == Kind::kOpened) {
      door.source = IpAddress::from_v6(reader.take<16>());
      door.door = read_text(reader);
      door.interface = read_text(reader);
      door.stop_command = read_text(reader);
    }
    if (!reader.ok() || reader.remaining() != 0 || !times.sane()) return false;
    return take(kind, std::move(door), moment);
  }

  std::vector<StateContents::StoredDoor> doors() && {
    std::erase_if(doors_, [](const auto& stored) { return !stored.has_value(); });
    std::vector<StateContents::StoredDoor> open;
    open.reserve(doors_.size());
    for (auto& stored : doors_) open.push_back(std::move(*stored));
    return open;
  }
  const std::optional<Moment>& last() const { return last_; }

 private:
  bool take(Kind kind, OpenDoor door, const Moment& moment) {
    const auto [oldest, end] = by_id_.equal_range(door.id);
    switch (kind) {
      case Kind::kOpened:
        by_id_.emplace(door.id, doors_.size());
        doors_.push_back(StateContents::StoredDoor{std::move(door), moment.boot});
        break;
      case Kind::kExtended:
        if (oldest != end) {
          auto& stored = *doors_[std::prev(end)->second];
          stored.door.deadline = door.deadline;
          stored.written = moment.boot;
        }
        break;
      case Kind::kClosed:
        if (oldest != end) {
          doors_[oldest->second].reset();
          by_id_.erase(oldest);
        }
        break;
      case Kind::kPassed:
        break;
      default:
        return false;
    }
    if (!last_ || moment.boot >= last_->boot) last_ = moment;
    return true;
  }

  std::vector<std::optional<StateContents::StoredDoor>> doors_;
  std::multimap<uint64_t, size_t> by_id_;  // equal keys stand in the order in which they came
  std::optional<Moment> last_;
};

// The payload of the record that `bytes` begins with; nothing if none does.
std::optional<std::span<const uint8_t>> payload_at(std::span<const uint8_t> bytes) {
  if (bytes.size() < kHeadSize) return std::nullopt;
  ByteReader head(bytes);
  const auto mark = head.take<4>();
  const uint32_t length = head.u32();
  const uint32_t payload_crc = head.u32();
  const uint32_t head_crc = head.u32();
  if (!std::equal(mark.begin(), mark.end(), kMark.begin())) return std::nullopt;
  if (crc32c(bytes.first(12)) != head_crc) return std::nullopt;
  if (length > head.remaining()) return std::nullopt;
  const auto payload = head.take(length);
  if (crc32c(payload) != payload_crc) return std::nullopt;
  return payload;
}

// Bytes to the next place behind the first byte where a record may begin.
size_t distance_to_next_mark(std::span<const uint8_t> bytes) {
  const auto next = std::search(bytes.begin() + 1, bytes.end(), kMark.begin(), kMark.end());
  return static_cast<size_t>(next - bytes.begin());
}

void read_records(std::span<const uint8_t> bytes, StateContents& contents) {
  Reckoning reckoning;
  while (!bytes.empty()) {
    const auto payload = payload_at(bytes);
    if (payload && reckoning.take(*payload)) {
      ++contents.records;
      bytes = bytes.subspan(kHeadSize + payload->size());
    } else {
      const size_t distance = distance_to_next_mark(bytes);
      contents.skipped += distance;
      bytes = bytes.subspan(distance);
    }
  }
  contents.last = reckoning.last();
  contents.doors = std::move(reckoning).doors();
}

// What the first bytes say; fills in version and boot id.
StateContents::Header read_header(std::span<const uint8_t> bytes, StateContents& contents) {
  using Header = StateContents::Header;
  if (std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; })) {
    return Header::kNone;
  }
  ByteReader reader(bytes);
  const auto magic = reader.take<8>();
  const uint32_t version = reader.u32();
  const auto boot_id = reader.take<kBootIdSize>();
  const uint32_t crc = reader.u32();
  if (!reader.ok() || !std::equal(magic.begin(), magic.end(), kMagic.begin())) {
    return Header::kForeign;
  }
  if (crc32c(bytes.first(kStateHeaderSize - 4)) != crc) return Header::kDamaged;
  contents.version = version;
  if (version != kStateVersion) return Header::kOtherVersion;
  contents.boot_id.assign(boot_id.begin(), std::find(boot_id.begin(), boot_id.end(), 0));
  return Header::kGood;
}

// What has passed between two moments of different boots, as far as anyone can tell.
nanoseconds passed_between(const Moment& before, const Moment& now) {
  if (!before.wall_is_kept || !now.wall_is_kept) return nanoseconds(0);
  return std::max(now.wall - before.wall, nanoseconds(0));
}

}  // namespace

void append_state_header(Bytes& bytes, std::string_view boot_id) {
  const size_t start = bytes.size();
  bytes.insert(bytes.end(), kMagic.begin(), kMagic.end());
  append_u32(bytes, kStateVersion);
  for (size_t i = 0; i < kBootIdSize; ++i) {
    bytes.push_back(i < boot_id.size() ? static_cast<uint8_t>(boot_id[i]) : 0);
  }
  append_u32(bytes, crc32c(std::span(bytes).subspan(start)));
}

void append_opened(Bytes& bytes, const OpenDoor& door, const Moment& now) {
  const Record record(bytes, Kind::kOpened, now);
  append_u64(bytes, door.id);
  append_time(bytes, door.deadline.time_since_epoch());
  bytes.insert(bytes.end(), door.source.bytes().begin(), door.source.bytes().end());
  append_text(bytes, door.door);
  append_text(bytes, door.interface);
  append_text(bytes, door.stop_command);
}

void append_extended(Bytes& bytes, const OpenDoor& door, const Moment& now) {
  const Record record(bytes, Kind::kExtended, now);
  append_u64(bytes, door.id);
  append_time(bytes, door.deadline.time_since_epoch());
}

void append_closed(Bytes& bytes, const OpenDoor& door, const Moment& now) {
  const Record record(bytes, Kind::kClosed, now);
  append_u64(bytes, door.id);
}

void append_passed(Bytes& bytes, const Moment& now) {
  const Record record(bytes, Kind::kPassed, now);
}

size_t opened_size(const OpenDoor& door) {
  return kOpenedFixedSize + door.door.size() + door.interface.size() + door.stop_command.size();
}

StateContents parse_state(std::span<const uint8_t> bytes) {
  using Header = StateContents::Header;
  StateContents contents;
  contents.header = read_header(bytes, contents);
  switch (contents.header) {
    case Header::kNone:
      contents.skipped = bytes.size();
      break;
    case Header::kGood:
      read_records(bytes.subspan(kStateHeaderSize), contents);
      break;
    case Header::kDamaged:
    case Header::kForeign:
      read_records(bytes, contents);
      // A record with two right checksums is ours, whatever became of the header before it.
      if (contents.records > 0) contents.header = Header::kDamaged;
      break;
    case Header::kOtherVersion:
      break;
  }
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
