// fuzzes: keeper
// longest: 2048
// SPDX-License-Identifier: MIT
// The reader of the state file. An input that begins with '=' is followed by a complete file. Any
// other holds lines without checksums, because random input would never match one: the fuzzer adds
// a valid header and the checksums. A state that was read must survive being written and read
// again.
#include <cstdint>
#include <cstdlib>

#include "../keeper/state_lines.h"
#include "knockd/keeper/state_format.h"

namespace {

using namespace knockd;

constexpr const char* kBoot = "0b3c1f52-6a0e-4d8e-9b41-0123456789ab";

std::string file_of(std::string_view input) {
  if (input.starts_with('=')) return std::string(input.substr(1));
  std::string file;
  append_header(file, kBoot);
  for (const std::string_view line : split(input, '\n')) file += summed(line);
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
    require(left <= door.deadline - written);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string file = file_of({reinterpret_cast<const char*>(data), size});
  const StateContents contents = parse_state(file);
  require(contents.skipped <= file.size());

  const Moment now{.boot = Instant(std::chrono::hours(5)), .wall = std::chrono::hours(480'000)};
  Moment kept = now;
  kept.wall_is_kept = true;
  for (const char* boot : {kBoot, "another", ""}) {
    check_deadlines(contents, boot, now);
    check_deadlines(contents, boot, kept);
  }

  std::string anew;
  append_header(anew, contents.boot_id);
  for (const auto& stored : contents.doors) {
    append_fact(anew, Fact::kOpen, stored.door, {.boot = stored.written, .wall = {}});
  }
  const StateContents again = parse_state(anew);
  require(again.header == StateContents::Header::kGood && again.skipped == 0);
  require(again.boot_id == contents.boot_id);
  require(again.doors.size() == contents.doors.size());
  for (size_t i = 0; i < again.doors.size(); ++i) {
    require(again.doors[i].door == contents.doors[i].door);
    require(again.doors[i].written == contents.doors[i].written);
  }
  return 0;
}
