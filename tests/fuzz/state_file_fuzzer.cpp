// fuzzes: keeper
// longest: 2048
// SPDX-License-Identifier: MIT
// The reader of the file of open doors. The first byte of an input says what the rest is: 0, a file
// as it stands; anything else, payloads (a length byte before each) that get a good header and
// checksums that fit, which chance would never find. What was read must outlive being written anew.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "knockd/base/crc32c.h"
#include "knockd/keeper/state_format.h"

namespace {

using namespace knockd;

constexpr const char* kBoot = "0b3c1f52-6a0e-4d8e-9b41-0123456789ab";
constexpr std::array<uint8_t, 4> kMark = {0xff, 0xc0, 0xf5, 0xfe};

void append_u32(Bytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<uint8_t>(value >> shift));
}

Bytes file_of_payloads(std::span<const uint8_t> input) {
  Bytes file;
  append_state_header(file, kBoot);
  while (!input.empty()) {
    const size_t length = std::min<size_t>(input[0], input.size() - 1);
    const auto payload = input.subspan(1, length);
    Bytes head(kMark.begin(), kMark.end());
    append_u32(head, static_cast<uint32_t>(length));
    append_u32(head, crc32c(payload));
    append_u32(head, crc32c(head));
    file.insert(file.end(), head.begin(), head.end());
    file.insert(file.end(), payload.begin(), payload.end());
    input = input.subspan(1 + length);
  }
  return file;
}

void require(bool condition) {
  if (!condition) std::abort();
}

void check_deadlines(const StateContents& contents, const char* boot, const Moment& now) {
  const auto doors = doors_to_close(StateContents(contents), boot, now);
  require(doors.size() == contents.doors.size());
  for (size_t i = 0; i < doors.size(); ++i) {
    const auto& [door, written] = contents.doors[i];
    const Duration left = doors[i].deadline - now.boot;
    require(doors[i].id == i + 1);
    require(left >= Duration(0));
    require(left <= std::max(door.deadline - written, Duration(0)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const uint8_t> rest(data + 1, size - 1);
  const Bytes file = data[0] == 0 ? Bytes(rest.begin(), rest.end()) : file_of_payloads(rest);
  const StateContents contents = parse_state(file);
  require(contents.skipped <= file.size());

  const Moment now{.boot = Instant(std::chrono::hours(5)), .wall = std::chrono::hours(480'000)};
  Moment kept = now;
  kept.wall_is_kept = true;
  for (const char* boot : {kBoot, "another", ""}) {
    check_deadlines(contents, boot, now);
    check_deadlines(contents, boot, kept);
  }

  Bytes anew;
  append_state_header(anew, contents.boot_id);
  for (const auto& stored : contents.doors) append_opened(anew, stored.door, now);
  const StateContents again = parse_state(anew);
  require(again.header == StateContents::Header::kGood && again.skipped == 0);
  require(again.doors.size() == contents.doors.size());
  for (size_t i = 0; i < again.doors.size(); ++i) {
    require(again.doors[i].door == contents.doors[i].door);
  }
  return 0;
}
